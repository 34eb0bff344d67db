// Whether what ranks plan fits the memory that there is, and on how many it would.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace initrt {

struct FitQuestion {
  std::uint32_t world = 1, nodes = 1;
  std::uint64_t memory = 0;  ///< bytes of each GPU, or of each node; 0: as this node has
  bool gpus = false;
};

/// The most ranks that are thought of where those asked for are too few.
inline constexpr std::uint32_t kMostRanks = 4096;

/// "memory", "needed" (of a GPU or a node, in bytes), "fits", "fitting_world" and "text". The
/// fitting world is the least that fits, on as many ranks a node; on one node, whose memory all
/// share, the largest up to the one asked for; null where there is none (up to kMostRanks). It is
/// found by halving, with some twenty plans.
/// Null for GPUs whose memory is not known.
/// @param planned bytes of a rank on its GPU, or on CPUs its host, in a world of that size; what is
///        more ranks is not more
[[nodiscard]] nlohmann::ordered_json fit_json(
    const FitQuestion& question, const std::function<std::uint64_t(std::uint32_t world)>& planned);

}  // namespace initrt
