#include "runtime/device/cpu/route.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace initrt::cpu {
namespace {

// Best first: of equal ones the first.
class Order {
 public:
  explicit Order(std::span<const float> ranks) : ranks_(ranks) {}

  bool operator()(std::uint32_t a, std::uint32_t b) const {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a < b;
  }
  // A NaN is taken for the lowest, so that the order is one in any case.
  [[nodiscard]] float rank(std::uint32_t i) const {
    return std::isnan(ranks_[i]) ? -INFINITY : ranks_[i];
  }

 private:
  std::span<const float> ranks_;
};

std::vector<std::uint32_t> best_of(std::span<const float> ranks, std::uint32_t count) {
  std::vector<std::uint32_t> order(ranks.size());
  std::iota(order.begin(), order.end(), 0u);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), Order(ranks));
  order.resize(count);
  return order;
}

// The experts of all but the best groups get the lowest rank.
void keep_groups(const Routing& routing, std::span<float> ranks) {
  const std::uint32_t size = routing.experts / routing.groups;
  std::vector<float> sums;
  for (std::uint32_t group = 0; group < routing.groups; ++group) {
    const std::span<const float> of_group = ranks.subspan(group * size, size);
    float sum = 0;
    for (const std::uint32_t i : best_of(of_group, std::min(size, 2u))) {
      sum += Order(of_group).rank(i);
    }
    sums.push_back(sum);
  }
  std::vector<bool> kept(routing.groups, false);
  for (const std::uint32_t group : best_of(sums, routing.kept_groups)) kept[group] = true;
  for (std::uint32_t e = 0; e < routing.experts; ++e) {
    if (!kept[e / size]) ranks[e] = -INFINITY;
  }
}

// What the choice is weighted by: probabilities of the experts.
std::vector<float> scores_of(std::span<const float> logits, RouteScore score,
                             const Kernels& kernels) {
  std::vector<float> scores(logits.begin(), logits.end());
  if (score == RouteScore::Sigmoid) {
    for (float& x : scores) x = -x;
    kernels.exp(scores.data(), scores.data(), scores.size());
    for (float& x : scores) x = 1.0f / (x + 1.0f);
    return scores;
  }
  const float largest = logits[best_of(logits, 1).front()];
  for (float& x : scores) x -= largest;
  kernels.exp(scores.data(), scores.data(), scores.size());
  const float sum = std::accumulate(scores.begin(), scores.end(), 0.0f);
  for (float& x : scores) x /= sum;
  return scores;
}

}  // namespace

void choose_experts(std::span<const float> logits, const Routing& routing,
                    std::span<const float> correction, const Kernels& kernels,
                    std::span<ExpertChoice> out) {
  const std::vector<float> scores = scores_of(logits, routing.score, kernels);
  // Logits have the order of scores, and differ where scores have been rounded to the same.
  std::vector<float> ranks(logits.begin(), logits.end());
  if (!correction.empty() || routing.groups > 1) ranks = scores;
  for (std::size_t e = 0; e < correction.size(); ++e) ranks[e] += correction[e];
  if (routing.groups > 1) keep_groups(routing, ranks);
  const std::vector<std::uint32_t> order = best_of(ranks, routing.chosen);
  float sum = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = {order[i], scores[order[i]]};
    sum += out[i].weight;
  }
  for (ExpertChoice& choice : out) {
    if (routing.normalize) choice.weight /= sum + kLeastRouteSum;
    choice.weight *= routing.scale;
  }
}

}  // namespace initrt::cpu
