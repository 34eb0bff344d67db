#include "runtime/machine/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/machine/memory_check.h"
#include "sharding/checked.h"
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

enum class Fit : std::uint8_t {
  Yes,
  No,
  BudgetTooSmall,  // each rank's, as on fewer ranks
};

// Where each rank more takes more of what all share: the most of them that fit; 0: none.
std::uint32_t most_on_one_node(const std::function<Fit(std::uint32_t)>& fit, std::uint32_t world) {
  if (fit(world) == Fit::Yes) return world;
  std::uint32_t most = 0, too_few = 0, too_many = world;
  while (too_few + 1 < too_many) {
    const std::uint32_t middle = too_few + (too_many - too_few) / 2;
    const Fit here = fit(middle);
    if (here == Fit::Yes) most = middle;
    (here == Fit::No ? too_many : too_few) = middle;
  }
  return most;
}

}  // namespace

Json fit_json(const FitQuestion& question, const PlannedBytes& planned) {
  if (question.gpus && question.memory == 0) return nullptr;
  const std::uint64_t memory = question.memory > 0 ? question.memory : node_memory().total;
  // Ranks of one node share its memory; with more ranks there are more nodes of as many.
  const auto on_node = static_cast<std::uint32_t>(divide_up(question.world, question.nodes));
  const auto ranks_per_memory = [&](std::uint32_t world) {
    return question.gpus ? 1u : question.nodes == 1 ? world : std::min(world, on_node);
  };
  const auto needed = [&](std::uint32_t world) -> std::optional<std::uint64_t> {
    const std::optional<std::uint64_t> each = planned(world);
    if (!each) return {};
    return *each * ranks_per_memory(world) + (question.gpus ? gpu_margin_bytes(memory) : 0);
  };
  const std::uint64_t here = needed(question.world).value();
  const auto fit = [&](std::uint32_t world) {
    const std::uint64_t memories = divide_up(world, ranks_per_memory(world));
    if (question.model / memories > memory) return Fit::No;
    const std::optional<std::uint64_t> bytes = world == question.world ? here : needed(world);
    if (!bytes) return Fit::BudgetTooSmall;
    return *bytes <= memory ? Fit::Yes : Fit::No;
  };
  const auto fits = [&](std::uint32_t world) { return fit(world) == Fit::Yes; };
  const bool shared = !question.gpus && question.nodes == 1;
  const std::uint32_t other =
      shared ? most_on_one_node(fit, question.world) : least_world(fits, question.world);
  const std::string where = question.memory > 0
                                ? human_bytes(memory)
                                : fmt::format("this node's {}", human_bytes(memory));
  std::string text;
  if (here <= memory) {
    text = fmt::format("fits in {} with {} to spare", where, human_bytes(memory - here));
    if (!shared && other > 1) {
      text += fmt::format("; at N = {} it would not{}", other - 1,
                          fit(other - 1) == Fit::BudgetTooSmall ? " fit memory.budget" : "");
    }
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
