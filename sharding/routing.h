// How a row of a mixture of experts chooses some of them, and how much each one's answer counts.
#pragma once

#include <cstdint>

namespace initrt {

enum class RouteScore : std::uint8_t {
  Softmax,  ///< e^x over the sum of all experts'
  Sigmoid,  ///< 1 / (1 + e^-x) (DeepSeek-V3, arXiv:2412.19437)
};

/// A row chooses the experts with the largest scores, largest first, of equal ones the first. A
/// choice's weight is its score.
struct Routing {
  std::uint32_t experts = 0, chosen = 0;
  RouteScore score = RouteScore::Softmax;
  bool normalize = false;  ///< weights are divided by their sum
  float scale = 1.0f;      ///< of the weights, last
  /// Experts lie in groups of one size. Only those of the `kept_groups` best are chosen from; a
  /// group is as good as the sum of its two best (DeepSeek-V3).
  std::uint32_t groups = 1, kept_groups = 1;

  bool operator==(const Routing&) const = default;
};

/// Added to what weights are divided by: sigmoids can all be 0.
inline constexpr float kLeastRouteSum = 1e-20f;

}  // namespace initrt
