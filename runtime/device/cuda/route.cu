// The router of a mixture of experts: a warp for each row. Sums are taken in the order of the
// experts and of the choices, by one lane, so that weights have the bits of cpu/route.cpp.
#include <algorithm>
#include <limits>

#include "runtime/device/cuda/functions.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/launch.h"

namespace initrt::cuda {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr unsigned kWarp = 32;

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

__global__ void __launch_bounds__(kWarp)
    route_row(const float* scores, std::uint64_t rows, std::uint32_t expert_count,
              std::uint32_t chosen, bool normalize, ExpertChoice* out) {
  const auto experts = static_cast<std::int32_t>(expert_count);
  auto* const of_row = reinterpret_cast<float*>(dynamic_shared());
  float* const powers = of_row + experts;
  for (std::uint64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* const from = scores + row * expert_count;
    ExpertChoice* const choices = out + row * chosen;
    for (auto i = static_cast<std::int32_t>(threadIdx.x); i < experts; i += kWarp) {
      of_row[i] = from[i];
    }
    __syncwarp();
    Candidate best{std::numeric_limits<float>::infinity(), -1};  // before all
    best = next_best(of_row, experts, best);
    const float largest = of_row[best.expert];
    for (auto i = static_cast<std::int32_t>(threadIdx.x); i < experts; i += kWarp) {
      powers[i] = exp(of_row[i] - largest);
    }
    __syncwarp();
    float sum = 0, chosen_sum = 0;
    if (threadIdx.x == 0) {
      for (std::int32_t i = 0; i < experts; ++i) sum += powers[i];
    }
    for (std::uint32_t i = 0; i < chosen; ++i) {
      if (i > 0) best = next_best(of_row, experts, best);
      if (threadIdx.x != 0) continue;
      const float weight = powers[best.expert] / sum;
      choices[i] = {static_cast<std::uint32_t>(best.expert), weight};
      chosen_sum += weight;
    }
    if (normalize && threadIdx.x == 0) {
      for (std::uint32_t i = 0; i < chosen; ++i) choices[i].weight /= chosen_sum;
    }
    __syncwarp();  // before the next row's scores take their place
  }
}

}  // namespace

void route(cudaStream_t stream, const float* scores, std::uint64_t rows, std::uint32_t experts,
           std::uint32_t chosen, bool normalize, ExpertChoice* out) {
  if (rows == 0 || chosen == 0) return;
  constexpr std::uint64_t kBlocks = 65536;
  launch<route_row>(static_cast<unsigned>(std::min(rows, kBlocks)), kWarp,
                    experts * 2 * sizeof(float), stream, scores, rows, experts, chosen, normalize,
                    out);
}

}  // namespace initrt::cuda
