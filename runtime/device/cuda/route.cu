// The router of a mixture of experts: a warp for each row. Sums are taken in the order of the
// experts and of the choices, by one lane, so that weights have the bits of cpu/route.cpp.
#include <algorithm>
#include <limits>

#include "runtime/device/cuda/functions.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/launch.h"
#include "runtime/device/cuda/vectors.cuh"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {
namespace {

struct Candidate {
  float score;
  std::int32_t expert;

  /// Larger scores come first, of equal ones the first expert.
  __device__ bool before(const Candidate& other) const {
    return score != other.score ? score > other.score : expert < other.expert;
  }
};

/// The best of those that come after `last`, the same for all lanes. A NaN is taken for the lowest.
__device__ Candidate next_best(const float* scores, std::int32_t experts, const Candidate& last) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  Candidate best{kLowest, experts};
  for (auto expert = static_cast<std::int32_t>(threadIdx.x); expert < experts; expert += kWarp) {
    const float score = scores[expert];
    const Candidate candidate{score != score ? kLowest : score, expert};
    if (last.before(candidate) && candidate.before(best)) best = candidate;
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const Candidate other{__shfl_xor_sync(kAllLanes, best.score, lanes),
                          __shfl_xor_sync(kAllLanes, best.expert, lanes)};
    if (other.before(best)) best = other;
  }
  return best;
}

__device__ Candidate before_all() { return {std::numeric_limits<float>::infinity(), -1}; }

/// The first of those that a thread of the warp sees to.
__device__ std::int32_t lane() { return static_cast<std::int32_t>(threadIdx.x); }

/// scores = what the choice is weighted by. @param logits of one row
__device__ void score_experts(const float* logits, std::int32_t experts, RouteScore score,
                              float* scores) {
  if (score == RouteScore::Sigmoid) {
    for (std::int32_t i = lane(); i < experts; i += kWarp) {
      scores[i] = 1.0f / (exp(-logits[i]) + 1.0f);
    }
    __syncwarp();
    return;
  }
  const float largest = logits[next_best(logits, experts, before_all()).expert];
  for (std::int32_t i = lane(); i < experts; i += kWarp) scores[i] = exp(logits[i] - largest);
  __syncwarp();
  float sum = 0;
  if (threadIdx.x == 0) {
    for (std::int32_t i = 0; i < experts; ++i) sum += scores[i];
  }
  sum = __shfl_sync(kAllLanes, sum, 0);
  for (std::int32_t i = lane(); i < experts; i += kWarp) scores[i] /= sum;
  __syncwarp();
}

/// The experts of all but the best groups get the lowest rank. @param sums of the groups
__device__ void keep_groups(const Routing& routing, float* ranks, float* sums) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const auto groups = static_cast<std::int32_t>(routing.groups);
  const auto experts = static_cast<std::int32_t>(routing.experts);
  const std::int32_t size = experts / groups;
  for (std::int32_t group = lane(); group < groups; group += kWarp) {
    float best = kLowest, second = kLowest;
    for (std::int32_t i = group * size; i < (group + 1) * size; ++i) {
      const float rank = ranks[i] != ranks[i] ? kLowest : ranks[i];
      second = rank > best ? best : rank > second ? rank : second;
      best = rank > best ? rank : best;
    }
    sums[group] = size > 1 ? best + second : best;
  }
  __syncwarp();
  Candidate last = before_all();
  for (std::uint32_t i = 0; i < routing.kept_groups; ++i) last = next_best(sums, groups, last);
  for (std::int32_t i = lane(); i < experts; i += kWarp) {
    const float sum = sums[i / size];
    if (last.before({sum != sum ? kLowest : sum, i / size})) ranks[i] = kLowest;
  }
  __syncwarp();
}

__global__ void __launch_bounds__(kWarp)
    route_row(const float* logits, std::uint64_t rows, Routing routing, RouteVectors vectors,
              ExpertChoice* out) {
  const RowBlocks& correction = vectors.correction;
  const auto experts = static_cast<std::int32_t>(routing.experts);
  auto* const ranks = reinterpret_cast<float*>(dynamic_shared());  // of logits, or of scores
  float* const scores = ranks + experts;
  float* const sums = scores + experts;
  for (std::uint64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* const from = logits + row * routing.experts;
    ExpertChoice* const choices = out + row * routing.chosen;
    for (std::int32_t i = lane(); i < experts; i += kWarp) ranks[i] = from[i];
    __syncwarp();
    score_experts(ranks, experts, routing.score, scores);
    if (correction.base != nullptr || routing.groups > 1) {
      for (std::int32_t i = lane(); i < experts; i += kWarp) {
        ranks[i] = scores[i];
        if (correction.base != nullptr)
          ranks[i] += element(correction, static_cast<std::uint64_t>(i));
      }
      __syncwarp();
    }
    if (routing.groups > 1) keep_groups(routing, ranks, sums);
    Candidate best = before_all();
    float sum = 0;
    for (std::uint32_t i = 0; i < routing.chosen; ++i) {
      best = next_best(ranks, experts, best);
      if (threadIdx.x != 0) continue;
      choices[i] = {static_cast<std::uint32_t>(best.expert), scores[best.expert]};
      sum += choices[i].weight;
    }
    for (std::uint32_t i = 0; threadIdx.x == 0 && i < routing.chosen; ++i) {
      if (routing.normalize) choices[i].weight /= sum + kLeastRouteSum;
      choices[i].weight *= routing.scale;
      if (vectors.factors.base != nullptr) {
        choices[i].weight *= element(vectors.factors, choices[i].expert);
      }
    }
    __syncwarp();  // before the next row's logits take their place
  }
}

}  // namespace

void route(cudaStream_t stream, const float* logits, std::uint64_t rows, const Routing& routing,
           const RouteVectors& vectors, ExpertChoice* out) {
  if (rows == 0 || routing.chosen == 0) return;
  constexpr std::uint64_t kBlocks = 65536;
  const std::uint64_t floats = std::uint64_t{routing.experts} * 2 + routing.groups;
  launch<route_row>(static_cast<unsigned>(std::min(rows, kBlocks)), kWarp, floats * sizeof(float),
                    stream, logits, rows, routing, vectors, out);
}

}  // namespace initrt::cuda
