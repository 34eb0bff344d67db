// The choice of tokens: a block for each row. Which thread adds which masses, and the tree over
// threads, depend on the vocabulary alone. Filters are radix selects; each pass rereads the logits,
// so no memory beside them is needed, and they come from the L2 cache.
//
// All is as in text/sampler.cpp, masses in double too. What differs is the order of sums and the
// last bits of e^x, some 1e-16 of a sum: the token is another one where a draw, or what reaches
// top_p or min_p, is that close to a boundary.
#include <algorithm>
#include <bit>

#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/launch.h"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {
namespace {

constexpr unsigned kMaxThreads = 512;
constexpr unsigned kMaxWarps = kMaxThreads / kWarp;
constexpr unsigned kDigitBits = 4;
constexpr unsigned kDigits = 1u << kDigitBits;

/// Whole numbers in the order of the floats they stand for. Adding 0 makes -0 equal 0.
__device__ __forceinline__ std::uint32_t to_key(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float from_key(std::uint32_t key) {
  return std::bit_cast<float>((key >> 31) != 0 ? key & 0x7fffffffu : ~key);
}

/// e^x for x <= 0 within 2 units in the last place, and 0 where that is below 1e-307: beside the
/// likeliest token's mass of 1 it is nothing. No library's, so that all GPUs have the same bits.
__device__ __forceinline__ double exp(double x) {
  if (!(x > -708.0)) return 0.0;
  constexpr double kRound = 0x1.8p52;
  const double shifted = fma(x, 0x1.71547652b82fep+0, kRound);  // log2(e)
  const double n = shifted - kRound;
  double r = fma(n, -0x1.62e42fefa39efp-1, x);  // log(2), and what its rounding left
  r = fma(n, -0x1.abc9e3b39803fp-56, r);
  double p = 1.0 / 6227020800;  // the series of e^r up to r^13 / 13!: |r| is at most log(2) / 2
  p = fma(p, r, 1.0 / 479001600);
  p = fma(p, r, 1.0 / 39916800);
  p = fma(p, r, 1.0 / 3628800);
  p = fma(p, r, 1.0 / 362880);
  p = fma(p, r, 1.0 / 40320);
  p = fma(p, r, 1.0 / 5040);
  p = fma(p, r, 1.0 / 720);
  p = fma(p, r, 1.0 / 120);
  p = fma(p, r, 1.0 / 24);
  p = fma(p, r, 1.0 / 6);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  const std::uint64_t integer =
      std::bit_cast<std::uint64_t>(shifted) - std::bit_cast<std::uint64_t>(kRound);
  return p * std::bit_cast<double>((integer + 1023) << 52);
}

/// The lowest id with the largest logit, or with a NaN or +infinity where there is one.
__device__ std::uint32_t arg_max(const float* logits, std::uint32_t vocabulary) {
  __shared__ std::uint64_t of_warps[kMaxWarps];
  constexpr std::uint32_t kInfinity = 0x7f800000u, kNoSign = 0x7fffffffu;
  std::uint64_t best = 0;
  for (std::uint32_t id = threadIdx.x; id < vocabulary; id += blockDim.x) {
    const auto bits = std::bit_cast<std::uint32_t>(logits[id]);
    const bool bad = bits == kInfinity || (bits & kNoSign) > kInfinity;
    const std::uint32_t key = bad ? ~0u : to_key(logits[id]);
    best = max(best, std::uint64_t{key} << 32 | ~id);
  }
#pragma unroll
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    best = max(best, __shfl_xor_sync(kAllLanes, best, lanes));
  }
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = best;
  __syncthreads();
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) best = max(best, of_warps[warp]);
  return ~static_cast<std::uint32_t>(best);
}

/// Each digit's sum over the block, in `sums` of all threads.
__device__ __forceinline__ void sum_over_block(double (&sums)[kDigits]) {
  __shared__ double of_warps[kMaxWarps][kDigits];
  const unsigned lane = threadIdx.x % kWarp;
  // Lanes that differ in one bit share the digits out between them, until each has one of them.
#pragma unroll
  for (unsigned half = kDigits / 2; half > 0; half /= 2) {
    const bool upper = (lane & half * 2) != 0;
#pragma unroll
    for (unsigned i = 0; i < half; ++i) {
      const double given = upper ? sums[i] : sums[half + i];
      const double kept = upper ? sums[half + i] : sums[i];
      sums[i] = kept + __shfl_xor_sync(kAllLanes, given, static_cast<int>(half * 2));
    }
  }
  sums[0] += __shfl_xor_sync(kAllLanes, sums[0], 1);
  __syncthreads();  // whoever still reads the last sums
  if (lane % 2 == 0) of_warps[threadIdx.x / kWarp][lane / 2] = sums[0];
  __syncthreads();
#pragma unroll
  for (unsigned digit = 0; digit < kDigits; ++digit) {
    sums[digit] = of_warps[0][digit];
    for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) {
      sums[digit] += of_warps[warp][digit];
    }
  }
}

struct Reached {
  std::uint32_t key = 0;
  double above = 0, own = 0;  // masses of all larger keys, and of those equal to it
  double goal = 0;
};

/// The largest key such that it and all larger ones have masses that reach goal(sum of all masses):
/// a radix select, by sums for each value of the next digit among the keys that begin with those
/// found.
template <class Key, class Mass, class Goal>
__device__ Reached radix_select(std::uint32_t ids, const Key& key, const Mass& mass,
                                const Goal& goal) {
  Reached reached;
  for (unsigned shift = 32 - kDigitBits;; shift -= kDigitBits) {
    double sums[kDigits] = {};
    for (std::uint32_t id = threadIdx.x; id < ids; id += blockDim.x) {
      const std::uint32_t own = key(id);
      if (std::uint64_t{own} >> (shift + kDigitBits) != reached.key) continue;
      const std::uint32_t of = own >> shift & (kDigits - 1);
      const double own_mass = mass(id);
#pragma unroll
      for (unsigned digit = 0; digit < kDigits; ++digit) {
        if (of == digit) sums[digit] += own_mass;
      }
    }
    sum_over_block(sums);
    if (shift == 32 - kDigitBits) {
      double all = 0;
#pragma unroll
      for (unsigned digit = 0; digit < kDigits; ++digit) all += sums[digit];
      reached.goal = goal(all);
    }
    // Down from the largest; where rounding leaves the goal above all, the last with a mass.
    double above = reached.above;
    std::uint32_t at = 0;
    bool found = false;
#pragma unroll
    for (unsigned smaller = 0; smaller < kDigits; ++smaller) {
      const unsigned digit = kDigits - 1 - smaller;
      if (found || sums[digit] == 0) continue;
      at = digit;
      reached.above = above;
      reached.own = sums[digit];
      above += sums[digit];
      found = above >= reached.goal;
    }
    reached.key = reached.key << kDigitBits | at;
    if (shift == 0) return reached;
  }
}

/// What filters leave: the keys above `least`, and of those equal to it the ids up to `last`.
struct Limit {
  std::uint32_t least = 0, last = ~0u;

  __device__ __forceinline__ bool keeps(std::uint32_t key, std::uint32_t id) const {
    return key > least || (key == least && id <= last);
  }
};

/// One row's logits, and what of them is left.
struct Row {
  const float* logits;
  std::uint32_t vocabulary;
  double largest, temperature;
  Limit kept;

  __device__ __forceinline__ double weight(float logit) const {
    return exp((logit - largest) / temperature);
  }

  /// Keeps the fewest, from the largest and of equal ones from the lowest id, whose masses reach
  /// the goal. @param mass of a logit
  template <class Mass, class Goal>
  __device__ void keep(const Mass& mass, const Goal& goal) {
    const Limit before = kept;
    const auto key = [&](std::uint32_t id) { return to_key(logits[id]); };
    const auto kept_mass = [&](std::uint32_t id) {
      return before.keeps(key(id), id) ? mass(logits[id]) : 0.0;
    };
    const Reached reached = radix_select(vocabulary, key, kept_mass, goal);
    const double each = mass(from_key(reached.key));
    kept = {reached.key, reached.key == before.least ? before.last : ~0u};
    if (reached.own == each) return;  // there is but one
    const auto order = [](std::uint32_t id) { return ~id; };
    const auto equal = [&](std::uint32_t id) {
      return key(id) == reached.key && before.keeps(reached.key, id) ? 1.0 : 0.0;
    };
    const double wanted = ceil((reached.goal - reached.above) / each);
    kept.last = ~radix_select(vocabulary, order, equal, [=](double) { return wanted; }).key;
  }
};

/// The id at which the running sum of weights, in the order of ids, passes `part` of them all. Each
/// warp sums a part of the ids; then the warps share out the part in which it is, and so on.
template <class Weight>
__device__ std::uint32_t draw(std::uint32_t ids, const Weight& weight, double part) {
  __shared__ double of_warps[kMaxWarps];
  const unsigned warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  std::uint32_t begin = 0, end = ids;
  double reached = 0, goal = -1;
  while (end - begin > 1) {
    const std::uint32_t each = (end - begin + warps - 1) / warps;
    const std::uint32_t own_end = min(end, begin + (warp + 1) * each);
    double sum = 0;
    for (std::uint32_t id = begin + warp * each + threadIdx.x % kWarp; id < own_end; id += kWarp) {
      sum += weight(id);
    }
    sum = sum_over_warp(sum);
    __syncthreads();  // whoever still reads the last sums
    if (threadIdx.x % kWarp == 0) of_warps[warp] = sum;
    __syncthreads();
    if (goal < 0) {
      double all = 0;
      for (unsigned i = 0; i < warps; ++i) all += of_warps[i];
      goal = part * all;
    }
    // Where rounding leaves the goal at the very end of the sum, the last part with a weight.
    double sum_so_far = reached;
    unsigned chosen = 0;
    for (unsigned i = 0; i < warps && sum_so_far <= goal; ++i) {
      if (of_warps[i] == 0) continue;
      chosen = i;
      reached = sum_so_far;
      sum_so_far += of_warps[i];
    }
    begin += chosen * each;
    end = min(end, begin + each);
  }
  return begin;
}

__global__ void __launch_bounds__(kMaxThreads)
    sample_rows(const float* all_logits, std::uint32_t vocabulary, SamplerOptions options,
                const double* draws, Sampled* out) {
  const float* const logits = all_logits + std::uint64_t{blockIdx.x} * vocabulary;
  std::uint32_t id = arg_max(logits, vocabulary);
  const float largest = logits[id];
  if (options.temperature > 0 && largest - largest == 0) {  // else it is no finite number
    Row row{logits, vocabulary, largest, options.temperature, {}};
    if (options.top_k > 0 && static_cast<std::uint32_t>(options.top_k) < vocabulary) {
      row.keep([](float) { return 1.0; }, [&](double) -> double { return options.top_k; });
    }
    if (options.top_p < 1) {
      row.keep([&](float logit) { return row.weight(logit); },
               [&](double sum) { return options.top_p * sum; });
    }
    const double least = options.min_p;
    const auto kept_weight = [&](std::uint32_t own) {
      const double weight =
          row.kept.keeps(to_key(logits[own]), own) ? row.weight(logits[own]) : 0.0;
      return weight >= least ? weight : 0.0;
    };
    id = draw(vocabulary, kept_weight, draws[blockIdx.x]);
  }
  if (threadIdx.x == 0) out[blockIdx.x] = {id, logits[id]};
}

/// A thread for at least 16 logits, but two warps, so that a part that they share out is smaller.
unsigned threads_for(std::uint64_t vocabulary) {
  constexpr std::uint64_t kLogits = 16;
  const std::uint64_t warps = vocabulary / kLogits / kWarp;
  return static_cast<unsigned>(std::clamp<std::uint64_t>(warps, 2, kMaxWarps)) * kWarp;
}

}  // namespace

void sample(cudaStream_t stream, const float* logits, std::uint64_t rows, std::uint64_t vocabulary,
            const SamplerOptions& options, const double* draws, Sampled* out) {
  if (rows == 0) return;
  launch<sample_rows>(static_cast<unsigned>(rows), threads_for(vocabulary), 0, stream, logits,
                      static_cast<std::uint32_t>(vocabulary), options, draws, out);
}

}  // namespace initrt::cuda
