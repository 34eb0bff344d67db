// What a block of threads does with a run of rows of one sequence and query heads of one KV head:
// span after span of positions, counted from position 0, of which each warp takes one tile. What
// the warps have summed is joined in their order, and added to what the spans before have; or left,
// where spans are shared out among blocks, for merge_spans() to add in the same way. So a query's
// bits go by its own position alone: queries of a block share what is read.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "runtime/device/cuda/attention_tile.cuh"
#include "runtime/device/cuda/vectors.cuh"
#include "runtime/device/ops.h"

namespace initrt::cuda {

inline constexpr unsigned kWarps = 16;
/// Not kThreads, which is grid.cuh's.
inline constexpr unsigned kAttentionThreads = kWarps * kWarp;
/// Positions of a span: a tile of each warp.
inline constexpr std::uint32_t kSpan = kWarps * kTile;

/// Queries that a warp has room for in its registers, by elements of a head that a lane sums.
constexpr int queries_of(int wide) { return wide <= 4 ? 8 : 32 / wide; }

/// What kernels are made for.
/// @tparam kWide_ elements of a value that a lane sums
/// @tparam kKey_ the most elements of a key, a multiple of a warp
template <int kWide_, int kKey_ = kWide_* static_cast<int>(kWarp)>
struct HeadSizes {
  static constexpr int kWide = kWide_, kKey = kKey_;
  static constexpr int kValue = kWide * static_cast<int>(kWarp);
  static constexpr int kQueries = queries_of(kWide);
  static_assert(kKey >= kValue, "values may be a part of keys");
};

struct AttentionArguments {
  const float* q;
  const RowInfo* rows;
  std::uint32_t count;
  const std::byte* k;
  const std::byte* v;
  float* out;
  AttentionShape shape;
  std::uint32_t positions;  // of a sequence in the cache
  std::uint32_t group;      // query heads of a KV head
  std::uint32_t heads_of_block, blocks_of_group, rows_of_block;
  std::uint32_t splits;  // blocks that share the spans of one run
  std::uint32_t spans;   // most that a row sees
  // What each span has summed, where blocks share them: [rows][heads][spans], and of values
  // [value size] of each. A row's spans are neighbours: span s is at s % spans.
  Softmax* softmax_of_spans;
  float* values_of_spans;

  /// @param place a row's head, counted over all rows' heads
  __device__ std::uint64_t place_of_span(std::uint64_t place, std::uint32_t span) const {
    return place * spans + span % spans;
  }

  __device__ std::uint32_t first_seen(std::uint32_t position) const {
    if (shape.window == 0 || position < shape.window) return 0;
    return shape.chunks ? position - position % shape.window : position + 1 - shape.window;
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

/// A head's sums before anything that its row sees.
__device__ __forceinline__ Softmax before_all_scores(const AttentionArguments& a,
                                                     std::uint32_t head) {
  const RowBlocks& sinks = a.shape.sinks;
  if (sinks.base == nullptr) return of_no_scores();
  return {element(sinks, head), 1};
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

__device__ __forceinline__ float rounded_to_bf16(float x) {
  using Bf16 = Element<DType::BF16>;
  return Bf16::widen(Bf16::narrow(x));
}

/// A head's rate, as alibi_rate() has it.
__device__ __forceinline__ float rate_of(const Alibi& alibi, std::uint32_t head) {
  if (alibi.exponent == 0) return 0;
  const float steps = head < alibi.heads ? static_cast<float>(head + 1)
                                         : static_cast<float>(head - alibi.heads) + 0.5f;
  const float rate = exp2f(alibi.exponent * steps);
  return alibi.rounded ? rounded_to_bf16(rate) : rate;
}

/// What ALiBi adds to the score of a key at `position` for a query at `last`.
__device__ __forceinline__ float bias_of(const Alibi& alibi, float rate, std::uint32_t position,
                                         std::uint32_t last) {
  const auto key = static_cast<float>(position), query = static_cast<float>(last);
  const auto rounded = [rate](float x) { return rounded_to_bf16(rounded_to_bf16(x) * rate); };
  const float bias = alibi.rounded ? rounded(key) - rounded(query) : (key - query) * rate;
  return bias * alibi.scale;
}

/// What the queries of a run see, the least and the most.
struct Bounds {
  std::uint32_t least_first, most_first, least_last, most_last;
};

template <class Sizes>
struct BlockMemory {
  static constexpr int kQueries = Sizes::kQueries;
  /// Queries whose elements all threads hold between them.
  static constexpr int kJoined = kAttentionThreads / Sizes::kValue;

  union {
    WarpMemory of_warps[kWarps];
    float values[kWarps][kJoined][Sizes::kValue];
  };
  alignas(16) float q[kQueries * Sizes::kKey];  // times the scale
  float sums[kQueries * Sizes::kValue];         // of values, over the spans so far
  Run run;
  std::uint32_t first[kQueries], last[kQueries];  // positions that each sees
  float rates[kQueries];                          // of their biases
  Bounds bounds;
  Softmax softmax[kWarps][kQueries];  // of each warp in a span
  Softmax all[kQueries];              // over the spans so far
  float factors[kWarps][kQueries];
  bool sees[kQueries];  // anything of the span
  Weights weights[kQueries];
};

/// The queries of a run to shared memory; those that are missing are 0 and see what the first sees.
template <int kQueries, class Sizes>
__device__ void load_queries(const AttentionArguments& a, BlockMemory<Sizes>& memory) {
  constexpr std::uint32_t kLine = Sizes::kKey;
  const Run& run = memory.run;
  const std::uint32_t queries = run.queries(), size = a.shape.head_size;
  for (std::uint32_t i = threadIdx.x; i < kQueries * kLine; i += kAttentionThreads) {
    const std::uint32_t query = i / kLine, d = i % kLine;
    float x = 0;
    if (query < queries && d < size) {
      x = a.q[run.place(query, a.shape.heads) * size + d] * a.shape.scale;
    }
    memory.q[i] = x;
  }
  for (std::uint32_t i = threadIdx.x; i < kQueries * Sizes::kValue; i += kAttentionThreads) {
    memory.sums[i] = 0;
  }
  if (threadIdx.x < kQueries) {
    const std::uint32_t query = threadIdx.x < queries ? threadIdx.x : 0;
    const std::uint32_t last = a.rows[run.begin + query / run.heads].position;
    memory.first[threadIdx.x] = a.first_seen(last);
    memory.last[threadIdx.x] = last;
    memory.all[threadIdx.x] = before_all_scores(a, run.head + query % run.heads);
    memory.rates[threadIdx.x] = rate_of(a.shape.alibi, run.head + query % run.heads);
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
template <class Lines, int kQueries, class Sizes>
__device__ __forceinline__ void attend_tile(const AttentionArguments& a, const Lines& k,
                                            const Lines& v, std::uint32_t begin,
                                            BlockMemory<Sizes>& memory,
                                            float (&values)[kQueries][Sizes::kWide]) {
  const std::uint32_t lane = threadIdx.x % kWarp;
  const std::uint32_t end = begin + kTile;
  const Bounds& bounds = memory.bounds;
  WarpMemory& own = memory.of_warps[threadIdx.x / kWarp];
  float scores[kQueries][2];
  score_tile<kQueries, Sizes::kKey>(k, begin, min(kTile, bounds.most_last + 1 - begin), memory.q,
                                    own, scores);
  const bool whole = bounds.most_first <= begin && bounds.least_last + 1 >= end;
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (a.shape.softcap != 0) {
      scores[q][0] = capped(scores[q][0], a.shape.softcap);
      scores[q][1] = capped(scores[q][1], a.shape.softcap);
    }
    if (a.shape.alibi.exponent != 0) {
      const float rate = memory.rates[q];
      const std::uint32_t last = memory.last[q];
      scores[q][0] += bias_of(a.shape.alibi, rate, begin + lane, last);
      scores[q][1] += bias_of(a.shape.alibi, rate, begin + lane + kWarp, last);
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
template <class Lines, int kQueries, class Sizes>
__device__ void attend_span(const AttentionArguments& a, const Lines& k, const Lines& v,
                            std::uint32_t span, BlockMemory<Sizes>& memory,
                            float (&values)[kQueries][Sizes::kWide]) {
  const std::uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  if (lane < kQueries) memory.softmax[warp][lane] = of_no_scores();
  __syncwarp();
  const std::uint32_t begin = span * kSpan + warp * kTile;
  if (begin <= memory.bounds.most_last && begin + kTile > memory.bounds.least_first) {
    attend_tile(a, k, v, begin, memory, values);
  }
}

/// One query's softmax over a span, from its warps' in their order.
template <class Sizes>
__device__ void join_softmax(const AttentionArguments& a, std::uint32_t span, std::uint32_t query,
                             BlockMemory<Sizes>& memory) {
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
template <int kQueries, class Sizes>
__device__ void join_span(const AttentionArguments& a, std::uint32_t span,
                          BlockMemory<Sizes>& memory,
                          const float (&values)[kQueries][Sizes::kWide]) {
  const Run& run = memory.run;
  constexpr int kJoined = BlockMemory<Sizes>::kJoined, kWide = Sizes::kWide;
  constexpr std::uint32_t kLine = Sizes::kValue;
  const std::uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::uint32_t size = a.shape.value();
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

template <class Lines, int kQueries, class Sizes>
__device__ void attend(const AttentionArguments& a, BlockMemory<Sizes>& memory) {
  constexpr std::uint32_t kLine = Sizes::kValue;
  const std::uint32_t key = a.shape.head_size, size = a.shape.value();
  const std::uint64_t kv_head =
      std::uint64_t{memory.run.sequence} * a.shape.kv_heads + memory.run.head / a.group;
  const std::uint64_t first = kv_head * a.positions;
  const Lines k{stored<Lines::Type>(a.k) + first * key, key, a.positions};
  const Lines v = a.v == nullptr
                      ? k  // the first elements of each key
                      : Lines{stored<Lines::Type>(a.v) + first * size, size, a.positions};
  load_queries<kQueries>(a, memory);
  for (std::uint32_t span = memory.bounds.least_first / kSpan + blockIdx.z;
       span <= memory.bounds.most_last / kSpan; span += a.splits) {
    float values[kQueries][Sizes::kWide] = {};
    attend_span(a, k, v, span, memory, values);
    __syncthreads();  // the warps' memory is free
    join_span(a, span, memory, values);
  }
  if (a.splits > 1) return;
  for (std::uint32_t i = threadIdx.x; i < memory.run.queries() * kLine; i += kAttentionThreads) {
    const std::uint32_t query = i / kLine, d = i % kLine;
    if (d >= size) continue;
    a.out[memory.run.place(query, a.shape.heads) * size + d] =
        memory.sums[i] / memory.all[query].sum;
  }
}

}  // namespace initrt::cuda
