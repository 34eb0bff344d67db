#include "runtime/text/logprobs.h"

#include <algorithm>
#include <cmath>

namespace initrt {
namespace {

std::vector<TokenId> likeliest(std::span<const float> logits, std::size_t count) {
  const auto logit = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
  std::vector<TokenId> top;
  for (std::size_t i = 0; i < logits.size() && count > 0; ++i) {
    if (top.size() == count && logits[i] <= logit(top.back())) continue;
    if (top.size() == count) top.pop_back();
    const auto place = std::upper_bound(top.begin(), top.end(), logits[i],
                                        [&](float own, TokenId id) { return own > logit(id); });
    top.insert(place, static_cast<TokenId>(i));
  }
  return top;
}

}  // namespace

std::vector<TokenLogprob> log_probabilities(std::span<const float> logits, TokenId chosen,
                                            std::size_t count) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  const double shift = largest + std::log(sum);
  const auto of = [&](TokenId id) {
    const double logprob = logits[static_cast<std::size_t>(id)] - shift;
    return TokenLogprob{id, static_cast<float>(logprob)};
  };
  std::vector<TokenLogprob> all = {of(chosen)};
  for (const TokenId id : likeliest(logits, count)) all.push_back(of(id));
  return all;
}

}  // namespace initrt
