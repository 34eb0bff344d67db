// The ops of the CUDA device but for products (cuda_products.cpp): arguments are checked here, and
// kernels do the work.
#include <algorithm>
#include <limits>

#include "runtime/device/cuda/check.h"
#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/kernels.h"
#include "sharding/error.h"

namespace initrt::cuda {

void CudaDevice::set_scratch(std::span<std::byte> scratch, std::span<std::byte> pinned,
                             std::uint64_t rows) {
  division_ = divide_scratch(rows);
  if (scratch.size() < division_.inputs || pinned.size() < kWriteBytes) {
    fail("cuda: {} bytes of scratch and {} pinned for {} rows, expected {} and {}", scratch.size(),
         pinned.size(), rows, division_.inputs, kWriteBytes);
  }
  scratch_ = scratch;
  most_rows_ = rows;
  linear_->set_most_tiles((rows + kRowTile - 1) / kRowTile);
  ring_ = PinnedRing(pinned, stream(), [this](cudaEvent_t event) { wait_for(event); });
  recorded_.forget();  // they are about other memory
}

void CudaDevice::check_rows(std::uint64_t rows, const char* op) const {
  if (rows > most_rows_) {
    fail("cuda {}: {} rows, expected at most {}", op, rows, most_rows_);
  }
}

// The kernels read positions from the GPU's memory and trust them.
void CudaDevice::check_cache(const KvView& cache, const char* op) const {
  if (context_ > cache.positions && !cache.ring) {
    fail("cuda {}: position {} is outside of a KV cache of {} positions", op, context_ - 1,
         cache.positions);
  }
  if (cache.ring && cache.positions % kKvTile != 0) {
    fail("cuda {}: a ring of {} positions, expected a multiple of {}", op, cache.positions,
         kKvTile);
  }
}

void CudaDevice::set_rows(std::span<const RowInfo> rows, std::span<const std::uint32_t> kept) {
  check_rows(std::max(rows.size(), kept.size()), "rows");
  rows_ = rows.size();
  kept_ = kept.size();
  context_ = 0;
  for (const RowInfo& row : rows) context_ = std::max<std::uint64_t>(context_, row.position + 1ull);
  write(std::as_bytes(rows), scratch<std::byte>(division_.rows));
  write(std::as_bytes(kept), scratch<std::byte>(division_.kept));
}

void CudaDevice::to_float(const std::byte* in, DType dtype, float* out, std::uint64_t elements) {
  cuda::to_float(stream(), in, dtype, out, elements);
}

void CudaDevice::norm(NormKind kind, const float* in, const NormWeights& weights, float epsilon,
                      float* out, std::uint64_t rows, std::uint64_t columns) {
  cuda::norm(stream(), kind, in, weights, epsilon, out, rows, columns);
}

void CudaDevice::rotary(float* x, std::uint64_t rows, std::uint32_t heads, std::uint32_t head_size,
                        std::uint32_t dimensions, const float* table) {
  if (dimensions > head_size || dimensions % 2 != 0) {
    fail("cuda rotary: {} dimensions of heads of {}, expected an even number up to the head size",
         dimensions, head_size);
  }
  cuda::rotary(stream(), x, rows, heads, head_size, dimensions, table);
}

void CudaDevice::store_kv(const float* k, const float* v, const AttentionShape& shape,
                          const KvView& cache) {
  check_cache(cache, "store_kv");
  cuda::store_kv(stream(), k, v, rows(), rows_, shape, cache);
}

void CudaDevice::attention(const float* q, const AttentionShape& shape, const KvView& cache,
                           float* out) {
  check_cache(cache, "attention");
  if (shape.kv_heads == 0 || shape.heads % shape.kv_heads != 0) {
    fail("cuda attention: {} heads over {} KV heads, expected a multiple", shape.heads,
         shape.kv_heads);
  }
  // Products come before and after it: their scratch is free.
  cuda::attention(stream(), q, rows(), rows_, shape, cache, out,
                  scratch_.subspan(division_.workspace));
}

void CudaDevice::convolve(float* x, const ConvolutionWeights& weights, std::uint64_t columns,
                          float* states) {
  check_taps(weights, "cuda convolve");
  cuda::convolve(stream(), x, rows(), rows_, weights, columns, states);
}

void CudaDevice::delta_rule(const DeltaRows& of, const DeltaShape& shape, float* states) {
  check_delta(shape, "cuda delta_rule");
  cuda::delta_rule(stream(), rows(), rows_, of, shape, states);
}

void CudaDevice::state_space(const StateSpaceRows& of, const StateSpaceShape& shape,
                             float* states) {
  check_state_space(shape, "cuda state_space");
  cuda::state_space(stream(), rows(), rows_, of, shape, states);
}

void CudaDevice::gate(const Gating& gating, const float* gate, const float* up, float* out,
                      std::uint64_t elements) {
  cuda::gate(stream(), gating, gate, up, out, elements);
}

void CudaDevice::gate_rows(const float* gate, float* x, std::uint64_t rows, std::uint64_t columns) {
  cuda::gate_rows(stream(), gate, x, rows, columns);
}

void CudaDevice::add(const float* x, float* into, std::uint64_t elements) {
  cuda::add(stream(), x, into, elements);
}

void CudaDevice::scale(float* x, float factor, std::uint64_t elements) {
  if (factor == 0) {
    check(cudaMemsetAsync(x, 0, elements * sizeof(float), stream()), "clearing memory");
  } else {
    cuda::scale(stream(), x, factor, elements);
  }
}

void CudaDevice::scale_by(const RowBlocks& factor, float* x, std::uint64_t elements) {
  cuda::scale_by(stream(), reinterpret_cast<const float*>(factor.base), x, elements);
}

void CudaDevice::softcap(float* x, float cap, std::uint64_t rows, std::uint64_t columns,
                         std::uint64_t stride) {
  cuda::softcap(stream(), x, cap, rows, columns, stride);
}

void CudaDevice::add_positions(const RowBlocks& table, DType dtype, float* into,
                               std::uint64_t columns) {
  cuda::add_positions(stream(), table, dtype, rows(), rows_, into, columns);
}

void CudaDevice::route(const float* scores, std::uint64_t rows, const Routing& routing,
                       const RouteVectors& vectors, std::span<ExpertChoice> out) {
  check_rows(rows, "route");
  check_routing(routing, rows, out.size(), "cuda route");
  const std::uint64_t chosen = routing.chosen;
  if (chosen > kMaxChosen) fail("cuda route: {} experts a row; the most is {}", chosen, kMaxChosen);
  auto* const choices = scratch<ExpertChoice>(division_.choices);
  cuda::route(stream(), scores, rows, routing, vectors, choices);
  // In parts that fit the ring; the host goes on only once it has them.
  const std::uint64_t most = ring_.most() / sizeof(ExpertChoice);
  for (std::uint64_t begin = 0; begin < rows * chosen; begin += most) {
    const std::uint64_t some = std::min(most, rows * chosen - begin);
    const std::span<std::byte> arrived = ring_.take(some * sizeof(ExpertChoice));
    read(reinterpret_cast<const std::byte*>(choices + begin), arrived);
    synchronize();
    std::memcpy(out.data() + begin, arrived.data(), arrived.size());
  }
}

void CudaDevice::keep_rows(float* x, std::uint64_t columns) {
  cuda::take_rows(stream(), x, scratch<std::uint32_t>(division_.kept), nullptr, kept_, columns, x);
}

// Both out of one piece of the ring: taking a second may be what gives the first back.
CudaDevice::WeightedRows CudaDevice::pinned(std::span<const std::uint32_t> rows,
                                            std::span<const float> weights) {
  const std::span<std::byte> memory = ring_.take(rows.size_bytes() + weights.size_bytes());
  auto* const indices = reinterpret_cast<std::uint32_t*>(memory.data());
  auto* const factors = reinterpret_cast<float*>(memory.data() + rows.size_bytes());
  std::ranges::copy(rows, indices);
  std::ranges::copy(weights, factors);
  return {indices, weights.empty() ? nullptr : factors};
}

void CudaDevice::take_rows(const float* in, std::span<const std::uint32_t> rows,
                           std::span<const float> weights, std::uint64_t columns, float* out) {
  const WeightedRows those = pinned(rows, weights);
  cuda::take_rows(stream(), in, those.rows, those.weights, rows.size(), columns, out);
}

void CudaDevice::add_rows(const float* x, std::span<const std::uint32_t> rows,
                          std::span<const float> weights, std::uint64_t columns, float* into) {
  const WeightedRows those = pinned(rows, weights);
  cuda::add_rows(stream(), x, those.rows, those.weights, rows.size(), columns, into);
}

void CudaDevice::sample(const float* logits, std::uint64_t rows, std::uint64_t vocabulary,
                        const SamplerOptions& options, std::span<const double> draws,
                        std::span<Sampled> out) {
  constexpr std::uint64_t kMaxIds = std::numeric_limits<std::int32_t>::max();
  if (vocabulary == 0 || vocabulary > kMaxIds || draws.size() < rows || out.size() < rows) {
    fail("cuda sample: {} rows of {} logits, {} draws, room for {}", rows, vocabulary, draws.size(),
         out.size());
  }
  // In parts that fit the ring. The kernel reads draws and writes ids where they are, a few bytes
  // for a row.
  const std::uint64_t most = ring_.most() / std::max(sizeof(double), sizeof(Sampled));
  for (std::uint64_t begin = 0; begin < rows; begin += most) {
    const std::uint64_t some = std::min(most, rows - begin);
    const double* const some_draws = pinned(draws.subspan(begin, some));
    const std::span<std::byte> chosen = ring_.take(some * sizeof(Sampled));
    cuda::sample(stream(), logits + begin * vocabulary, some, vocabulary, options, some_draws,
                 reinterpret_cast<Sampled*>(chosen.data()));
    synchronize();
    std::memcpy(out.data() + begin, chosen.data(), chosen.size());
  }
}

}  // namespace initrt::cuda
