#include "runtime/machine/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/machine/memory_check.h"
#include "sharding/human_bytes.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// The least world that fits, where larger ones do; 0: none.
std::uint32_t least_world(const std::function<bool(std::uint32_t)>& fits, std::uint32_t world) {
  std::uint32_t most = world;
  while (!fits(most)) {
    if (most >= kMostRanks) return 0;
    most = std::min(most * 2, kMostRanks);
  }
  std::uint32_t least = 1;
  while (least < most) {
    const std::uint32_t middle = least + (most - least) / 2;
    if (fits(middle)) {
      most = middle;
    } else {
      least = middle + 1;
    }
  }
  return most;
}

// Where each rank more takes more of what all share: the most of them that fit; 0: none.
std::uint32_t most_on_one_node(const std::function<bool(std::uint32_t)>& fits,
                               std::uint32_t world) {
  if (fits(world)) return world;
  std::uint32_t most = 0, too_many = world;
  while (most + 1 < too_many) {
    const std::uint32_t middle = most + (too_many - most) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  return most;
}

}  // namespace

Json fit_json(const FitQuestion& question,
              const std::function<std::uint64_t(std::uint32_t)>& planned) {
  if (question.gpus && question.memory == 0) return nullptr;
  const std::uint64_t memory = question.memory > 0 ? question.memory : node_memory().total;
  // Ranks of one node share its memory; with more ranks there are more nodes of as many.
  const std::uint32_t on_node = (question.world + question.nodes - 1) / question.nodes;
  const auto needed = [&](std::uint32_t world) {
    if (question.gpus) return planned(world) + gpu_margin_bytes(memory);
    return planned(world) * (question.nodes == 1 ? world : std::min(world, on_node));
  };
  const std::uint64_t here = needed(question.world);
  const auto fits = [&](std::uint32_t world) { return needed(world) <= memory; };
  const bool shared = !question.gpus && question.nodes == 1;
  const std::uint32_t other =
      shared ? most_on_one_node(fits, question.world) : least_world(fits, question.world);
  const std::string where = question.memory > 0
                                ? human_bytes(memory)
                                : fmt::format("this node's {}", human_bytes(memory));
  std::string text;
  if (here <= memory) {
    text = fmt::format("fits in {} with {} to spare", where, human_bytes(memory - here));
    if (!shared && other > 1) text += fmt::format("; at N = {} it would not", other - 1);
  } else {
    text = fmt::format("does not fit in {}: {} too much; ", where, human_bytes(here - memory));
    text += other > 0 ? fmt::format("at N = {} it would", other)
            : shared  ? std::string("nor would fewer ranks on one node")
                      : fmt::format("at no N up to {} it would", kMostRanks);
  }
  return {{"memory", memory},
          {"needed", here},
          {"fits", here <= memory},
          {"fitting_world", other == 0 ? Json(nullptr) : Json(other)},
          {"text", text}};
}

}  // namespace initrt
