// The Device of the CPU backend: checks arguments and splits each op over the threads. What an
// output element is does not depend on the split; the kernels see to that.
#include "runtime/device/cpu/cpu_device.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/convert/convert.h"
#include "runtime/device/cpu/attention.h"
#include "runtime/device/cpu/host_uploader.h"
#include "runtime/device/cpu/instruction_set.h"
#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/linear.h"
#include "runtime/device/cpu/pieces.h"
#include "runtime/device/cpu/recurrent.h"
#include "runtime/device/cpu/route.h"
#include "runtime/device/cpu/storage.h"
#include "runtime/device/cpu/thread_pool.h"
#include "runtime/device/host_memory.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using cpu::bytes_of;
using cpu::for_pieces;
using cpu::index_of;
using cpu::kElementsPerPiece;
using cpu::Kernels;
using cpu::rows_per_piece;
using cpu::Storage;
using cpu::storage_of;
using cpu::ThreadPool;

/// Whether every one of `threads` threads has a core of its own among those this process may use.
bool cores_for(unsigned threads) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  return static_cast<unsigned>(CPU_COUNT(&allowed)) >= threads;
}

struct Downloaded final : Download {
  bool done() override { return true; }
};

// Ops have been done when they return.
struct Now final : Stamp {
  HostTime time() const override { return at; }
  const HostTime at = host_time();
};

// What rows that have no weights are multiplied with: one block, which stands for all.
NormWeights ones() {
  static constexpr auto kOnes = [] {
    std::array<float, 64> values{};
    values.fill(1.0f);
    return values;
  }();
  return {.weight = {reinterpret_cast<const std::byte*>(kOnes.data()), kOnes.size(), 0}};
}

class CpuDevice final : public Device {
 public:
  CpuDevice(InstructionSet set, unsigned threads, bool spin)
      : set_(set), kernels_(cpu::kernels_of(set)), pool_(threads, spin && cores_for(threads)) {}

  std::string name() const override {
    return fmt::format("cpu {}, {} thread{}", initrt::name(set_), pool_.threads(),
                       pool_.threads() == 1 ? "" : "s");
  }

  DeviceNeeds needs(const ProductSizes& products) const override {
    DeviceNeeds needs;
    needs.scratch_bytes = cpu::linear_scratch_bytes(kernels_, products);
    return needs;
  }

  Buffer allocate(Ledger& ledger, std::span<const BufferPart> parts) override {
    return allocate_host_memory(ledger, parts);
  }

  Buffer allocate_host(Ledger& ledger, MemoryCategory category, std::uint64_t bytes) override {
    return allocate_host_memory(ledger, category, bytes);
  }

  void write(std::span<const std::byte> from, std::byte* to) override {
    std::ranges::copy(from, to);
  }

  void read(const std::byte* from, std::span<std::byte> to) override {
    std::copy_n(from, to.size(), to.data());
  }

  void upload(std::span<const std::byte> from, std::byte* to) override { write(from, to); }

  void store(std::span<const std::byte> from, std::byte* to) override { write(from, to); }

  std::shared_ptr<Download> start_download(const std::byte* from,
                                           std::span<std::byte> to) override {
    read(from, to);
    return std::make_shared<Downloaded>();
  }

  void copy(std::span<const CopyPiece> pieces) override {
    for (const CopyPiece& piece : pieces) {
      for (std::uint64_t row = 0; row < piece.rows; ++row) {
        std::copy_n(piece.from + row * piece.from_stride, piece.bytes,
                    piece.to + row * piece.to_stride);
      }
    }
  }

  std::vector<std::unique_ptr<Uploader>> make_uploaders(Ledger& ledger,
                                                        const StagingRing& ring) override {
    return make_host_uploaders(ledger, ring);
  }

  void set_rows(std::span<const RowInfo> rows, std::span<const std::uint32_t> kept) override {
    rows_.assign(rows.begin(), rows.end());
    kept_.assign(kept.begin(), kept.end());
  }

  void set_scratch(std::span<std::byte> scratch, std::span<std::byte>, std::uint64_t) override {
    scratch_ = scratch;
  }

  void to_float(const std::byte* in, DType dtype, float* out, std::uint64_t elements) override {
    const Storage storage = storage_of(dtype, "to_float");
    const auto kernel = kernels_.to_float[index_of(storage)];
    for_pieces(pool_, elements, kElementsPerPiece, [&](std::uint64_t begin, std::uint64_t end) {
      kernel(in + begin * bytes_of(storage), out + begin, end - begin);
    });
  }

  void decode_rows(const std::byte* in, WeightFormat format, DType dtype, float* out,
                   std::uint64_t elements) override {
    const DType blocks = dtype_of(format, dtype);
    const Storage storage = storage_of(dtype, "decode_rows");
    const std::span<const std::byte> all(in, initrt::bytes_of(blocks, elements));
    constexpr std::uint64_t kTile = 256;  // of whole blocks
    for_pieces(pool_, elements, kElementsPerPiece, [&](std::uint64_t begin, std::uint64_t end) {
      std::array<std::byte, kTile * sizeof(float)> rounded;
      for (std::uint64_t at = begin; at < end; at += kTile) {
        const std::uint64_t count = std::min(kTile, end - at);
        convert(all.subspan(initrt::bytes_of(blocks, at)), blocks, 0, count, rounded.data(), dtype);
        kernels_.to_float[index_of(storage)](rounded.data(), out + at, count);
      }
    });
  }

  void norm(NormKind kind, const float* in, const NormWeights& weights, float epsilon, float* out,
            std::uint64_t rows, std::uint64_t columns) override {
    if (!weights.weight) return norm(kind, in, ones(), epsilon, out, rows, columns);
    const Storage storage = storage_of(weights.dtype, "norm");
    const auto kernel = kernels_.norm[static_cast<std::size_t>(kind)][index_of(storage)];
    for_pieces(pool_, rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        kernel({.in = in + r * columns,
                .weight = weights.weight.base,
                .bias = weights.bias.base,
                .block_columns = std::min(weights.weight.rows, columns * weights.sets),
                .block_stride = weights.weight.stride,
                .first = r % weights.sets * columns,
                .weight_offset = weights.weight_offset,
                .epsilon = epsilon,
                .out = out + r * columns,
                .columns = columns});
      }
    });
  }

  void linear(const float* in, const LinearWeights& weights, float* out, std::uint64_t rows,
              std::uint64_t out_stride) override {
    const LinearProduct product{weights, out, out_stride};
    linear_of_each(in, std::span(&product, 1), rows);
  }

  void linear_of_each(const float* in, std::span<const LinearProduct> products,
                      std::uint64_t rows) override {
    cpu::linear(pool_, kernels_, scratch_, in, products, rows);
  }

  void rotary(float* x, std::uint64_t rows, std::uint32_t heads, std::uint32_t head_size,
              std::uint32_t dimensions, const float* table) override {
    if (dimensions > head_size || dimensions % 2 != 0) {
      fail("cpu rotary: {} dimensions of heads of {}, expected an even number up to the head size",
           dimensions, head_size);
    }
    const std::size_t half = dimensions / 2;
    const std::uint64_t columns = std::uint64_t{heads} * head_size;
    for_pieces(pool_, rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        const float* cosines = table + r * 2 * half;
        for (std::uint64_t h = 0; h < heads; ++h) {
          kernels_.rotary(x + r * columns + h * head_size, half, cosines, cosines + half);
        }
      }
    });
  }

  void store_kv(const float* k, const float* v, const AttentionShape& shape,
                const KvView& cache) override {
    cpu::store_kv(pool_, kernels_, rows_, k, v, shape, cache);
  }

  void attention(const float* q, const AttentionShape& shape, const KvView& cache,
                 float* out) override {
    cpu::attention(pool_, kernels_, rows_, q, shape, cache, out);
  }

  void convolve(float* x, const ConvolutionWeights& weights, std::uint64_t columns,
                float* states) override {
    cpu::convolve(pool_, kernels_, rows_, x, weights, columns, states);
  }

  void delta_rule(const DeltaRows& rows, const DeltaShape& shape, float* states) override {
    cpu::delta_rule(pool_, kernels_, rows_, rows, shape, states);
  }

  void state_space(const StateSpaceRows& rows, const StateSpaceShape& shape,
                   float* states) override {
    cpu::state_space(pool_, kernels_, rows_, rows, shape, states);
  }

  void gate_rows(const float* gate, float* x, std::uint64_t rows, std::uint64_t columns) override {
    const auto sigmoid = kernels_.gate[static_cast<std::size_t>(GateFunction::Sigmoid)];
    for_pieces(pool_, rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        float factor = 0;
        sigmoid(gate + r, nullptr, &factor, 1);
        kernels_.scale(x + r * columns, factor, columns);
      }
    });
  }

  void gate(const Gating& gating, const float* gate, const float* up, float* out,
            std::uint64_t elements) override {
    const auto kernel = kernels_.gate[static_cast<std::size_t>(gating.function)];
    const bool limited = gating.limit != 0 || gating.up_offset != 0;
    const float limit = gating.limit != 0 ? gating.limit : INFINITY;
    for_pieces(pool_, elements, kElementsPerPiece, [&](std::uint64_t begin, std::uint64_t end) {
      if (!limited) {
        kernel(gate + begin, up == nullptr ? nullptr : up + begin, out + begin, end - begin);
        return;
      }
      constexpr std::uint64_t kTile = 512;
      std::array<float, kTile> gates, ups;
      for (std::uint64_t at = begin; at < end; at += kTile) {
        const std::uint64_t count = std::min(kTile, end - at);
        kernels_.limit(gate + at, -INFINITY, limit, 0, gates.data(), count);
        if (up != nullptr) {
          kernels_.limit(up + at, -limit, limit, gating.up_offset, ups.data(), count);
        }
        kernel(gates.data(), up == nullptr ? nullptr : ups.data(), out + at, count);
      }
    });
  }

  void add(const float* x, float* into, std::uint64_t elements) override {
    for_pieces(pool_, elements, kElementsPerPiece, [&](std::uint64_t begin, std::uint64_t end) {
      kernels_.add(x + begin, 1.0f, into + begin, end - begin);
    });
  }

  void scale_by(const RowBlocks& factor, float* x, std::uint64_t elements) override {
    scale(x, cpu::dense_floats(factor, 1).front(), elements);
  }

  void scale(float* x, float factor, std::uint64_t elements) override {
    if (factor == 0) return void(std::fill_n(x, elements, 0.0f));
    for_pieces(pool_, elements, kElementsPerPiece, [&](std::uint64_t begin, std::uint64_t end) {
      if (factor == 0) {
        std::fill(x + begin, x + end, 0.0f);
      } else {
        kernels_.scale(x + begin, factor, end - begin);
      }
    });
  }

  void softcap(float* x, float cap, std::uint64_t rows, std::uint64_t columns,
               std::uint64_t stride) override {
    const std::uint64_t pieces_per_row = (columns + kElementsPerPiece - 1) / kElementsPerPiece;
    for_pieces(pool_, rows * pieces_per_row, 1, [&](std::uint64_t piece, std::uint64_t) {
      const std::uint64_t begin = piece % pieces_per_row * kElementsPerPiece;
      kernels_.softcap(x + piece / pieces_per_row * stride + begin, cap,
                       std::min(kElementsPerPiece, columns - begin));
    });
  }

  void add_positions(const RowBlocks& table, DType dtype, float* into,
                     std::uint64_t columns) override {
    const std::span<const RowInfo> rows = rows_;
    const Storage storage = storage_of(dtype, "add_positions");
    const auto kernel = kernels_.accumulate[index_of(storage)];
    for_pieces(pool_, rows.size(), rows_per_piece(columns),
               [&](std::uint64_t begin, std::uint64_t end) {
                 for (std::uint64_t r = begin; r < end; ++r) {
                   kernel(table.row(rows[r].position, columns * bytes_of(storage)),
                          into + r * columns, columns);
                 }
               });
  }

  void route(const float* scores, std::uint64_t rows, const Routing& routing,
             const RouteVectors& vectors, std::span<ExpertChoice> out) override {
    const std::uint32_t experts = routing.experts, chosen = routing.chosen;
    check_routing(routing, rows, out.size(), "cpu route");
    const std::vector<float> added = cpu::dense_floats(vectors.correction, experts);
    const std::vector<float> factors = cpu::dense_floats(vectors.factors, experts);
    for_pieces(pool_, rows, rows_per_piece(experts), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        const auto of_row = out.subspan(r * chosen, chosen);
        cpu::choose_experts({scores + r * experts, experts}, routing, added, kernels_, of_row);
        if (factors.empty()) continue;
        for (ExpertChoice& choice : of_row) choice.weight *= factors[choice.expert];
      }
    });
  }

  void keep_rows(float* x, std::uint64_t columns) override { take_rows(x, kept_, {}, columns, x); }

  void take_rows(const float* in, std::span<const std::uint32_t> rows,
                 std::span<const float> weights, std::uint64_t columns, float* out) override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float* from = in + rows[i] * columns;
      float* to = out + i * columns;
      if (from != to) std::copy_n(from, columns, to);
      if (!weights.empty()) kernels_.scale(to, weights[i], columns);
    }
  }

  void add_rows(const float* x, std::span<const std::uint32_t> rows, std::span<const float> weights,
                std::uint64_t columns, float* into) override {
    for_pieces(pool_, rows.size(), rows_per_piece(columns),
               [&](std::uint64_t begin, std::uint64_t end) {
                 for (std::uint64_t i = begin; i < end; ++i) {
                   kernels_.add(x + i * columns, weights.empty() ? 1.0f : weights[i],
                                into + rows[i] * columns, columns);
                 }
               });
  }

  // Every op returns when it is done.
  FenceHandle fence() override { return nullptr; }
  void after(const FenceHandle&) override {}
  StampHandle stamp() override { return std::make_shared<Now>(); }
  void synchronize() override {}
  void set_watch(std::function<void()>) override {}

 private:
  const InstructionSet set_;
  const Kernels& kernels_;
  ThreadPool pool_;
  std::span<std::byte> scratch_;
  std::vector<RowInfo> rows_;
  std::vector<std::uint32_t> kept_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(InstructionSet set, unsigned threads, bool spin) {
  return std::make_unique<CpuDevice>(set, threads, spin);
}

}  // namespace initrt
