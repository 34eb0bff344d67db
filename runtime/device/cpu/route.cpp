#include "runtime/device/cpu/route.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace initrt::cpu {

void choose_experts(std::span<const float> scores, bool normalize, const Kernels& kernels,
                    std::span<ExpertChoice> out) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  // A NaN is taken for the lowest score, so that the order is one in any case.
  const auto score = [&](std::uint32_t expert) {
    return std::isnan(scores[expert]) ? -INFINITY : scores[expert];
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(out.size()),
                    order.end(), [&](std::uint32_t a, std::uint32_t b) {
                      return score(a) != score(b) ? score(a) > score(b) : a < b;
                    });
  std::vector<float> powers(scores.begin(), scores.end());
  for (float& power : powers) power -= scores[order.front()];
  kernels.exp(powers.data(), powers.data(), powers.size());
  const float sum = std::accumulate(powers.begin(), powers.end(), 0.0f);
  float chosen_sum = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = {order[i], powers[order[i]] / sum};
    chosen_sum += out[i].weight;
  }
  if (!normalize) return;
  for (ExpertChoice& choice : out) choice.weight /= chosen_sum;
}

}  // namespace initrt::cpu
