// Whether what ranks plan fits the memory that there is, and on how many it would.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace initrt {

struct FitQuestion {
  std::uint32_t world = 1, nodes = 1;
  std::uint64_t memory = 0;  ///< bytes of each GPU, or of each node; 0: as this node has
  bool gpus = false;
  /// Bytes of the model. Worlds whose memory together is less are not planned. 0: not known.
  std::uint64_t model = 0;
};

/// The most ranks that are thought of where those asked for are too few.
inline constexpr std::uint32_t kMostRanks = 4096;

/// Bytes that a rank plans on its GPU, or on CPUs on its host, in a world of so many; nothing where
/// its memory.budget is too little, as it is on fewer ranks then. There is a value for the world
/// that is asked about.
using PlannedBytes = std::function<std::optional<std::uint64_t>(std::uint32_t world)>;

/// "memory", "needed" (of a GPU or a node, in bytes), "fits", "fitting_world" and "text". The
/// fitting world is the least that fits, on as many ranks a node; on one node, whose memory all
/// share, the largest up to the one asked for; null where there is none (up to kMostRanks). It is
/// found by halving, with some twenty plans.
/// Null for GPUs whose memory is not known.
/// @param planned where there is a value, that of more ranks is not more
[[nodiscard]] nlohmann::ordered_json fit_json(const FitQuestion& question,
                                              const PlannedBytes& planned);

}  // namespace initrt
