// Attention, by spans of positions. A block takes neighbouring rows and the query heads of one KV
// head; of each run of rows of one sequence it takes span after span, counted from position 0, and
// of a span each warp one tile. What the warps have summed is joined in their order, and what spans
// have summed in theirs. So a query's bits go by its own position alone: rows that share a block
// share what is read, and where rows are too few to fill a GPU, spans are other blocks' work.
#include <algorithm>
#include <limits>
#include <span>

#include "runtime/device/cuda/attention_tile.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/launch.h"

namespace initrt::cuda {
namespace {

constexpr unsigned kWarps = 16;
constexpr unsigned kThreads = kWarps * kWarp;
/// Positions of a span: a tile of each warp.
constexpr std::uint32_t kSpan = kWarps * kTile;

/// Queries that a warp has room for in its registers, by elements of a head that a lane sums.
constexpr int queries_of(int wide) { return wide <= 4 ? 8 : 32 / wide; }

struct AttentionArguments {
  const float* q;
  const RowInfo* rows;
  std::uint32_t count;
  const std::byte* k;
  const std::byte* v;
  float* out;
  AttentionShape shape;
  std::uint32_t context;
  std::uint32_t group;  // query heads of a KV head
  std::uint32_t heads_of_block, blocks_of_group, rows_of_block;
  std::uint32_t splits;  // blocks that share the spans of one run
  std::uint32_t spans;   // most that a row sees
  // What each span has summed, where blocks share them: [rows][heads][spans], and of values
  // [head_size] of each. A row's spans are neighbours: span s is at s % spans.
  Softmax* softmax_of_spans;
  float* values_of_spans;

  /// @param place a row's head, counted over all rows' heads
  __device__ std::uint64_t place_of_span(std::uint64_t place, std::uint32_t span) const {
    return place * spans + span % spans;
  }

  __device__ std::uint32_t first_seen(std::uint32_t position) const {
    const bool all = shape.window == 0 || position < shape.window;
    return all ? 0 : position + 1 - shape.window;
  }
};

/// By what a sum so far, and what is added to it, are multiplied: both are then relative to the
/// largest score of either.
struct Weights {
  float before, added;
};

/// Adds a span's softmax to that of all before it.
__device__ __forceinline__ Weights add_span(Softmax& all, const Softmax& span) {
  const float maximum = fmaxf(all.maximum, span.maximum);
  const Weights weights{exp(all.maximum - maximum), exp(span.maximum - maximum)};
  all = {maximum, fmaf(weights.added, span.sum, weights.before * all.sum)};
  return weights;
}

__device__ __forceinline__ float add_value(const Weights& weights, float all, float of_span) {
  return fmaf(weights.added, of_span, weights.before * all);
}

__device__ __forceinline__ Softmax of_no_scores() {
  return {-std::numeric_limits<float>::infinity(), 0};
}

/// Rows [begin, end), of one sequence, and query heads [head, head + heads) of one KV head: the
/// queries of heads are those of row begin, then of begin + 1 and so on.
struct Run {
  std::uint32_t sequence, begin, end, head, heads;

  __device__ std::uint32_t queries() const { return (end - begin) * heads; }
  /// Which of all rows' heads a query is.
  __device__ std::uint64_t place(std::uint32_t query, std::uint32_t heads_of_row) const {
    return std::uint64_t{begin + query / heads} * heads_of_row + head + query % heads;
  }
};

/// What the queries of a run see, the least and the most.
struct Bounds {
  std::uint32_t least_first, most_first, least_last, most_last;
};

template <int kWide>
struct BlockMemory {
  static constexpr int kQueries = queries_of(kWide);
  /// Queries whose elements all threads hold between them.
  static constexpr int kJoined = kThreads / (kWarp * kWide);

  union {
    WarpMemory of_warps[kWarps];
    float values[kWarps][kJoined][kWarp * kWide];
  };
  alignas(16) float q[kQueries * kWarp * kWide];  // times the scale
  float sums[kQueries * kWarp * kWide];           // of values, over the spans so far
  Run run;
  std::uint32_t first[kQueries], last[kQueries];  // positions that each sees
  Bounds bounds;
  Softmax softmax[kWarps][kQueries];  // of each warp in a span
  Softmax all[kQueries];              // over the spans so far
  float factors[kWarps][kQueries];
  bool sees[kQueries];  // anything of the span
  Weights weights[kQueries];
};

/// The run of rows from `begin` on that are of one sequence, at most up to `end`.
template <int kWide>
__device__ void find_run(const AttentionArguments& a, std::uint32_t begin, std::uint32_t end,
                         BlockMemory<kWide>& memory) {
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

/// The queries of a run to shared memory; those that are missing are 0 and see what the first sees.
template <int kQueries, int kWide>
__device__ void load_queries(const AttentionArguments& a, BlockMemory<kWide>& memory) {
  constexpr std::uint32_t kLine = kWarp * kWide;
  const Run& run = memory.run;
  const std::uint32_t queries = run.queries(), size = a.shape.head_size;
  for (std::uint32_t i = threadIdx.x; i < kQueries * kLine; i += kThreads) {
    const std::uint32_t query = i / kLine, d = i % kLine;
    float x = 0;
    if (query < queries && d < size) {
      x = a.q[run.place(query, a.shape.heads) * size + d] * a.shape.scale;
    }
    memory.q[i] = x;
    memory.sums[i] = 0;
  }
  if (threadIdx.x < kQueries) {
    const std::uint32_t query = threadIdx.x < queries ? threadIdx.x : 0;
    const std::uint32_t last = a.rows[run.begin + query / run.heads].position;
    memory.first[threadIdx.x] = a.first_seen(last);
    memory.last[threadIdx.x] = last;
    memory.all[threadIdx.x] = of_no_scores();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    Bounds bounds{memory.first[0], memory.first[0], memory.last[0], memory.last[0]};
    for (int q = 1; q < kQueries; ++q) {
      bounds.least_first = min(bounds.least_first, memory.first[q]);
      bounds.most_first = max(bounds.most_first, memory.first[q]);
      bounds.least_last = min(bounds.least_last, memory.last[q]);
      bounds.most_last = max(bounds.most_last, memory.last[q]);
    }
    memory.bounds = bounds;
  }
  __syncthreads();
}

/// One tile: positions from `begin` on.
template <class Lines, int kQueries, int kWide>
__device__ __forceinline__ void attend_tile(const AttentionArguments& a, const Lines& k,
                                            const Lines& v, std::uint32_t begin,
                                            BlockMemory<kWide>& memory,
                                            float (&values)[kQueries][kWide]) {
  const std::uint32_t lane = threadIdx.x % kWarp;
  const std::uint32_t end = begin + kTile;
  const Bounds& bounds = memory.bounds;
  WarpMemory& own = memory.of_warps[threadIdx.x / kWarp];
  float scores[kQueries][2];
  score_tile<kQueries, kWide>(k, begin, min(kTile, bounds.most_last + 1 - begin), memory.q, own,
                              scores);
  const bool whole = bounds.most_first <= begin && bounds.least_last + 1 >= end;
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (a.shape.softcap != 0) {
      scores[q][0] = capped(scores[q][0], a.shape.softcap);
      scores[q][1] = capped(scores[q][1], a.shape.softcap);
    }
    bool seen[2] = {true, true}, sees = true;
    if (!whole) {
      const std::uint32_t first = memory.first[q], last = memory.last[q];
      seen[0] = first <= begin + lane && begin + lane <= last;
      seen[1] = first <= begin + lane + kWarp && begin + lane + kWarp <= last;
      sees = first < end && last >= begin;
    }
    softmax_tile(scores[q], seen, sees, memory.softmax[threadIdx.x / kWarp][q]);
    own.weights[q][lane] = scores[q][0];
    own.weights[q][lane + kWarp] = scores[q][1];
  }
  __syncwarp();
  if (whole) {
    weigh_tile<false>(v, begin, kTile, own, values);
  } else {
    weigh_tile<true>(v, begin, min(kTile, bounds.most_last + 1 - begin), own, values);
  }
}

/// The warp's tile of a span, if it has one there.
template <class Lines, int kQueries, int kWide>
__device__ void attend_span(const AttentionArguments& a, const Lines& k, const Lines& v,
                            std::uint32_t span, BlockMemory<kWide>& memory,
                            float (&values)[kQueries][kWide]) {
  const std::uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  if (lane < kQueries) memory.softmax[warp][lane] = of_no_scores();
  __syncwarp();
  const std::uint32_t begin = span * kSpan + warp * kTile;
  if (begin <= memory.bounds.most_last && begin + kTile > memory.bounds.least_first) {
    attend_tile(a, k, v, begin, memory, values);
  }
}

/// One query's softmax over a span, from its warps' in their order.
template <int kWide>
__device__ void join_softmax(const AttentionArguments& a, std::uint32_t span, std::uint32_t query,
                             BlockMemory<kWide>& memory) {
  const std::uint32_t begin = span * kSpan;
  memory.sees[query] = memory.first[query] < begin + kSpan && memory.last[query] >= begin;
  if (!memory.sees[query]) return;
  Softmax joined = of_no_scores();
  for (unsigned w = 0; w < kWarps; ++w) {
    joined.maximum = fmaxf(joined.maximum, memory.softmax[w][query].maximum);
    joined.sum = fmaf(memory.factors[w][query], memory.softmax[w][query].sum, joined.sum);
  }
  if (a.splits == 1) {
    memory.weights[query] = add_span(memory.all[query], joined);
  } else if (query < memory.run.queries()) {
    a.softmax_of_spans[a.place_of_span(memory.run.place(query, a.shape.heads), span)] = joined;
  }
}

/// Joins what the warps have summed over a span, in their order, and adds it to what the spans
/// before have, or leaves it for merge_spans().
template <int kQueries, int kWide>
__device__ void join_span(const AttentionArguments& a, std::uint32_t span,
                          BlockMemory<kWide>& memory, const float (&values)[kQueries][kWide]) {
  const Run& run = memory.run;
  constexpr int kJoined = BlockMemory<kWide>::kJoined;
  constexpr std::uint32_t kLine = kWarp * kWide;
  const std::uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::uint32_t size = a.shape.head_size;
  if (threadIdx.x < kWarps * kQueries) {
    const std::uint32_t q = threadIdx.x / kWarps, of = threadIdx.x % kWarps;
    float maximum = memory.softmax[0][q].maximum;
    for (unsigned w = 1; w < kWarps; ++w) maximum = fmaxf(maximum, memory.softmax[w][q].maximum);
    memory.factors[of][q] = exp(memory.softmax[of][q].maximum - maximum);
  }
  __syncthreads();
  if (threadIdx.x < kQueries) join_softmax(a, span, threadIdx.x, memory);
#pragma unroll
  for (int from = 0; from < kQueries; from += kJoined) {
#pragma unroll
    for (int i = 0; i < kJoined && from + i < kQueries; ++i) {
#pragma unroll
      for (int e = 0; e < kWide; ++e) {
        memory.values[warp][i][lane * kWide + e] = values[from + i][e];
      }
    }
    __syncthreads();
    const std::uint32_t i = threadIdx.x / kLine, d = threadIdx.x % kLine;
    const std::uint32_t query = from + i;
    if (query < run.queries() && d < size && memory.sees[query]) {
      float value = 0;
#pragma unroll
      for (unsigned w = 0; w < kWarps; ++w) {
        value = fmaf(memory.factors[w][query], memory.values[w][i][d], value);
      }
      if (a.splits == 1) {
        float& sum = memory.sums[query * kLine + d];
        sum = add_value(memory.weights[query], sum, value);
      } else {
        const std::uint64_t place = a.place_of_span(run.place(query, a.shape.heads), span);
        a.values_of_spans[place * size + d] = value;
      }
    }
    __syncthreads();
  }
}

template <class Lines, int kQueries, int kWide>
__device__ void attend(const AttentionArguments& a, BlockMemory<kWide>& memory) {
  constexpr std::uint32_t kLine = kWarp * kWide;
  const std::uint32_t size = a.shape.head_size;
  const std::uint64_t kv_head =
      std::uint64_t{memory.run.sequence} * a.shape.kv_heads + memory.run.head / a.group;
  const std::uint64_t first = kv_head * a.context * size;
  const Lines k{stored<Lines::Type>(a.k) + first, size};
  const Lines v{stored<Lines::Type>(a.v) + first, size};
  load_queries<kQueries>(a, memory);
  for (std::uint32_t span = memory.bounds.least_first / kSpan + blockIdx.z;
       span <= memory.bounds.most_last / kSpan; span += a.splits) {
    float values[kQueries][kWide] = {};
    attend_span(a, k, v, span, memory, values);
    __syncthreads();  // the warps' memory is free
    join_span(a, span, memory, values);
  }
  if (a.splits > 1) return;
  for (std::uint32_t i = threadIdx.x; i < memory.run.queries() * kLine; i += kThreads) {
    const std::uint32_t query = i / kLine, d = i % kLine;
    if (d >= size) continue;
    a.out[memory.run.place(query, a.shape.heads) * size + d] =
        memory.sums[i] / memory.all[query].sum;
  }
}

template <class Lines, int kWide>
__global__ void __launch_bounds__(kThreads) attend_rows(AttentionArguments a) {
  constexpr int kQueries = queries_of(kWide);
  __shared__ BlockMemory<kWide> memory;
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
  const std::uint32_t d = threadIdx.x, size = a.shape.head_size;
  if (d >= size) return;
  const std::uint32_t last = a.rows[place / a.shape.heads].position;
  Softmax all = of_no_scores();
  float sum = 0;
  for (std::uint32_t span = a.first_seen(last) / kSpan; span <= last / kSpan; ++span) {
    const std::uint64_t of_span = a.place_of_span(place, span);
    const Weights weights = add_span(all, a.softmax_of_spans[of_span]);
    sum = add_value(weights, sum, a.values_of_spans[of_span * size + d]);
  }
  a.out[place * size + d] = sum / all.sum;
}

/// Rows whose spans are shared out among blocks, as many at once as there is room for.
template <class Lines, int kWide>
void launch_split(cudaStream_t stream, AttentionArguments a, unsigned blocks, std::uint32_t rows,
                  std::span<std::byte> scratch) {
  const std::uint64_t columns = std::uint64_t{a.shape.heads} * a.shape.head_size;
  const std::uint32_t threads = (a.shape.head_size + kWarp - 1) / kWarp * kWarp;
  a.softmax_of_spans = reinterpret_cast<Softmax*>(scratch.data());
  a.values_of_spans =
      reinterpret_cast<float*>(a.softmax_of_spans + std::uint64_t{rows} * a.shape.heads * a.spans);
  for (std::uint32_t left = a.count; left > 0; left -= a.count) {
    a.count = std::min(left, rows);
    launch(attend_rows<Lines, kWide>, dim3(a.count, blocks, a.splits), kThreads, 0, stream, a);
    launch(merge_spans, a.count * a.shape.heads, threads, 0, stream, a);
    a.q += a.count * columns;
    a.out += a.count * columns;
    a.rows += a.count;
  }
}

template <class Lines, int kWide>
void launch_attention(cudaStream_t stream, AttentionArguments a, std::span<std::byte> scratch) {
  constexpr std::uint32_t kQueries = queries_of(kWide);
  // Two in turn for each multiprocessor of the largest GPUs: rows share a block only beyond that,
  // and spans are shared out only below.
  constexpr std::uint64_t kEnoughBlocks = 264;
  a.blocks_of_group = (a.group + kQueries - 1) / kQueries;
  a.heads_of_block = (a.group + a.blocks_of_group - 1) / a.blocks_of_group;
  const std::uint32_t blocks = a.shape.kv_heads * a.blocks_of_group;
  const std::uint64_t of_rows = std::uint64_t{blocks} * a.count;
  a.rows_of_block = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(of_rows / kEnoughBlocks, 1, kQueries / a.heads_of_block));
  const std::uint64_t row_bytes = std::uint64_t{a.shape.heads} * a.spans *
                                  (sizeof(Softmax) + a.shape.head_size * sizeof(float));
  const auto rows =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(a.count, scratch.size() / row_bytes));
  if (of_rows < kEnoughBlocks && a.spans > 1 && rows > 0) {
    const std::uint64_t missing = kEnoughBlocks / (std::uint64_t{blocks} * rows) + 1;
    a.splits = static_cast<std::uint32_t>(std::min<std::uint64_t>(a.spans, missing));
    launch_split<Lines, kWide>(stream, a, blocks, rows, scratch);
    return;
  }
  const std::uint32_t blocks_of_rows = (a.count + a.rows_of_block - 1) / a.rows_of_block;
  launch(attend_rows<Lines, kWide>, dim3(blocks_of_rows, blocks), kThreads, 0, stream, a);
}

}  // namespace

void attention(cudaStream_t stream, const float* q, const RowInfo* rows, std::uint64_t count,
               const AttentionShape& shape, const KvView& cache, float* out,
               std::span<std::byte> scratch) {
  if (count == 0) return;
  std::uint32_t spans = (cache.context + kSpan - 1) / kSpan;
  if (shape.window != 0) spans = std::min(spans, (shape.window - 1) / kSpan + 2);
  const AttentionArguments a{.q = q,
                             .rows = rows,
                             .count = static_cast<std::uint32_t>(count),
                             .k = cache.k,
                             .v = cache.v,
                             .out = out,
                             .shape = shape,
                             .context = cache.context,
                             .group = shape.heads / shape.kv_heads,
                             .heads_of_block = 0,
                             .blocks_of_group = 0,
                             .rows_of_block = 0,
                             .splits = 1,
                             .spans = spans,
                             .softmax_of_spans = nullptr,
                             .values_of_spans = nullptr};
  const std::uint32_t size = shape.head_size;
  if (size > 512) check(cudaErrorInvalidValue, "attention of heads of more than 512 elements");
  with_dtype(cache.dtype, [&]<DType Type>() {
    if (!aligned_16(cache.k, cache.v) || size % 8 != 0 || (size > 256 && size % 16 != 0)) {
      launch_attention<KvLines<Type, false>, 16>(stream, a,
                                                 scratch);  // rare: one kernel for all sizes
    } else if (size <= 64) {
      launch_attention<KvLines<Type, true>, 2>(stream, a, scratch);
    } else if (size <= 128) {
      launch_attention<KvLines<Type, true>, 4>(stream, a, scratch);
    } else if (size <= 256) {
      launch_attention<KvLines<Type, true>, 8>(stream, a, scratch);
    } else {
      launch_attention<KvLines<Type, true>, 16>(stream, a, scratch);
    }
  });
}

}  // namespace initrt::cuda
