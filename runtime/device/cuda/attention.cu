// Attention's kernels. Neighbouring rows share a block where they are many; where they are too few
// to fill a GPU, blocks share the spans of a row.
#include <algorithm>
#include <span>

#include "runtime/device/cuda/attention_block.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/launch.h"

namespace initrt::cuda {
namespace {

/// Latent attention's: DeepSeek's keys are a latent of 512 and 64 that are rotated, and its values
/// the latent.
using LatentKernelSizes = HeadSizes<16, 576>;

/// The run of rows from `begin` on that are of one sequence, at most up to `end`.
template <class Sizes>
__device__ void find_run(const AttentionArguments& a, std::uint32_t begin, std::uint32_t end,
                         BlockMemory<Sizes>& memory) {
  __syncthreads();  // the run before this one is done
  if (threadIdx.x == 0) {
    const std::uint32_t sequence = a.rows[begin].sequence;
    const std::uint32_t first_head = blockIdx.y % a.blocks_of_group * a.heads_of_block;
    Run run{sequence, begin, begin + 1, blockIdx.y / a.blocks_of_group * a.group + first_head,
            min(a.heads_of_block, a.group - first_head)};
    while (run.end < end && a.rows[run.end].sequence == sequence) ++run.end;
    memory.run = run;
  }
  __syncthreads();
}

template <class Lines, class Sizes>
__global__ void __launch_bounds__(kAttentionThreads) attend_rows(AttentionArguments a) {
  constexpr int kQueries = Sizes::kQueries;
  __shared__ BlockMemory<Sizes> memory;
  // The longest rows are mostly the last: they go first.
  const std::uint32_t block = gridDim.x - 1 - blockIdx.x;
  const std::uint32_t all = min(a.count, (block + 1) * a.rows_of_block);
  for (std::uint32_t begin = block * a.rows_of_block; begin < all; begin = memory.run.end) {
    find_run(a, begin, all, memory);
    const std::uint32_t queries = memory.run.queries();
    if (queries == 1) {
      attend<Lines, 1>(a, memory);
    } else if (kQueries > 2 && queries <= kQueries / 2) {
      attend<Lines, kQueries / 2>(a, memory);
    } else {
      attend<Lines, kQueries>(a, memory);
    }
  }
}

/// Adds up what blocks have left of the spans of one head of one row, in the order of spans.
__global__ void merge_spans(AttentionArguments a) {
  const std::uint64_t place = blockIdx.x;
  const std::uint32_t d = threadIdx.x, size = a.shape.value();
  if (d >= size) return;
  const std::uint32_t last = a.rows[place / a.shape.heads].position;
  Softmax all = before_all_scores(a, static_cast<std::uint32_t>(place % a.shape.heads));
  float sum = 0;
  for (std::uint32_t span = a.first_seen(last) / kSpan; span <= last / kSpan; ++span) {
    const std::uint64_t of_span = a.place_of_span(place, span);
    const Weights weights = add_span(all, a.softmax_of_spans[of_span]);
    sum = add_value(weights, sum, a.values_of_spans[of_span * size + d]);
  }
  a.out[place * size + d] = sum / all.sum;
}

/// Rows whose spans are shared out among blocks, as many at once as there is room for.
template <class Lines, class Sizes>
void launch_split(cudaStream_t stream, AttentionArguments a, unsigned blocks, std::uint32_t rows,
                  std::span<std::byte> scratch) {
  const std::uint64_t heads = a.shape.heads;
  const std::uint32_t threads = (a.shape.value() + kWarp - 1) / kWarp * kWarp;
  a.softmax_of_spans = reinterpret_cast<Softmax*>(scratch.data());
  a.values_of_spans =
      reinterpret_cast<float*>(a.softmax_of_spans + std::uint64_t{rows} * a.shape.heads * a.spans);
  for (std::uint32_t left = a.count; left > 0; left -= a.count) {
    a.count = std::min(left, rows);
    launch<attend_rows<Lines, Sizes>>(dim3(a.count, blocks, a.splits), kAttentionThreads, 0, stream,
                                      a);
    launch<merge_spans>(a.count * a.shape.heads, threads, 0, stream, a);
    a.q += a.count * heads * a.shape.head_size;
    a.out += a.count * heads * a.shape.value();
    a.rows += a.count;
  }
}

template <class Lines, class Sizes>
void launch_attention(cudaStream_t stream, AttentionArguments a, std::span<std::byte> scratch) {
  constexpr std::uint32_t kQueries = Sizes::kQueries;
  // Two in turn for each multiprocessor of the largest GPUs: rows share a block only beyond that,
  // and spans are shared out only below.
  constexpr std::uint64_t kEnoughBlocks = 264;
  a.blocks_of_group = (a.group + kQueries - 1) / kQueries;
  a.heads_of_block = (a.group + a.blocks_of_group - 1) / a.blocks_of_group;
  const std::uint32_t blocks = a.shape.kv_heads * a.blocks_of_group;
  const std::uint64_t of_rows = std::uint64_t{blocks} * a.count;
  a.rows_of_block = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(of_rows / kEnoughBlocks, 1, kQueries / a.heads_of_block));
  const std::uint64_t row_bytes =
      std::uint64_t{a.shape.heads} * a.spans * (sizeof(Softmax) + a.shape.value() * sizeof(float));
  const auto rows =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(a.count, scratch.size() / row_bytes));
  if (of_rows < kEnoughBlocks && a.spans > 1 && rows > 0) {
    const std::uint64_t missing = kEnoughBlocks / (std::uint64_t{blocks} * rows) + 1;
    a.splits = static_cast<std::uint32_t>(std::min<std::uint64_t>(a.spans, missing));
    launch_split<Lines, Sizes>(stream, a, blocks, rows, scratch);
    return;
  }
  const std::uint32_t blocks_of_rows = (a.count + a.rows_of_block - 1) / a.rows_of_block;
  launch<attend_rows<Lines, Sizes>>(dim3(blocks_of_rows, blocks), kAttentionThreads, 0, stream, a);
}

}  // namespace

void attention(cudaStream_t stream, const float* q, const RowInfo* rows, std::uint64_t count,
               const AttentionShape& shape, const KvView& cache, float* out,
               std::span<std::byte> scratch) {
  if (count == 0) return;
  std::uint32_t spans = (cache.positions + kSpan - 1) / kSpan;
  if (shape.window != 0) spans = std::min(spans + 1, (shape.window - 1) / kSpan + 2);
  const AttentionArguments a{.q = q,
                             .rows = rows,
                             .count = static_cast<std::uint32_t>(count),
                             .k = cache.k,
                             .v = cache.v,
                             .out = out,
                             .shape = shape,
                             .positions = cache.positions,
                             .group = shape.heads / shape.kv_heads,
                             .heads_of_block = 0,
                             .blocks_of_group = 0,
                             .rows_of_block = 0,
                             .splits = 1,
                             .spans = spans,
                             .softmax_of_spans = nullptr,
                             .values_of_spans = nullptr};
  const std::uint32_t key = shape.head_size, value = shape.value();
  constexpr std::uint32_t kMostKey = LatentKernelSizes::kKey,
                          kMostValue = LatentKernelSizes::kValue;
  const bool latent = key != value;
  if (key > kMostKey || value > kMostValue || (!latent && key > kMostValue) || value > key) {
    check(cudaErrorInvalidValue, "attention of heads of so many elements");
  }
  const auto is_aligned = [](std::uint32_t size) {
    return size % 8 == 0 && (size <= 256 || size % 16 == 0);
  };
  const bool aligned = aligned_16(cache.k, cache.v) && is_aligned(key) && is_aligned(value);
  with_dtype(cache.dtype, [&]<DType Type>() {
    // Kernels for any sizes and places are rare, and one for all sizes.
    if (latent && aligned && key % 16 == 0 && value % 16 == 0) {
      launch_attention<KvLines<Type, true>, LatentKernelSizes>(stream, a, scratch);
    } else if (latent) {
      launch_attention<KvLines<Type, false>, LatentKernelSizes>(stream, a, scratch);
    } else if (!aligned) {
      launch_attention<KvLines<Type, false>, HeadSizes<16>>(stream, a, scratch);
    } else if (key <= 64) {
      launch_attention<KvLines<Type, true>, HeadSizes<2>>(stream, a, scratch);
    } else if (key <= 128) {
      launch_attention<KvLines<Type, true>, HeadSizes<4>>(stream, a, scratch);
    } else if (key <= 256) {
      launch_attention<KvLines<Type, true>, HeadSizes<8>>(stream, a, scratch);
    } else {
      launch_attention<KvLines<Type, true>, HeadSizes<16>>(stream, a, scratch);
    }
  });
}

}  // namespace initrt::cuda
