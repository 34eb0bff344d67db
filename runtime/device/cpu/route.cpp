#include "runtime/device/cpu/route.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace initrt::cpu {

void choose_experts(std::span<const float> scores, bool normalize, std::span<Choice> out) {
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
  float sum = 0, chosen_sum = 0;
  const float largest = scores[order.front()];
  for (const float s : scores) sum += std::exp(s - largest);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = {order[i], std::exp(scores[order[i]] - largest) / sum};
    chosen_sum += out[i].weight;
  }
  if (!normalize) return;
  for (Choice& choice : out) choice.weight /= chosen_sum;
}

}  // namespace initrt::cpu
