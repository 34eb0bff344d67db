// How large a run is: the rows, positions and sequences that its sweeps and its memory are made
// for, and that memory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/exec/generate.h"
#include "runtime/exec/instance.h"
#include "runtime/start/open_model.h"
#include "runtime/start/options.h"
#include "sharding/memory_plan.h"

namespace initrt {

/// Why a prompt and its new tokens do not fit the context that is asked for, or else the model's;
/// "" where they do.
[[nodiscard]] std::string beyond_context(const Prompt& prompt, const ShapeOptions& options,
                                         const Graph& graph);

/// What a generating run needs of every rank; the same on all. What the transport and the device
/// decide is left to place_memory().
/// @param prompts not empty @throws Error where prompts and new tokens do not fit the context
[[nodiscard]] RunShape generate_shape(const ShapeOptions& options, const Graph& graph,
                                      const std::vector<Prompt>& prompts, std::uint32_t world);

/// The same for scoring `tokens` tokens on one rank.
[[nodiscard]] RunShape score_shape(const ShapeOptions& options, const Graph& graph,
                                   std::size_t tokens);

/// Device::needs(), of a device that need not be there.
using NeedsOfDevice = std::function<DeviceNeeds(const ProductSizes&)>;

/// Fills in what the transport and the device decide of a shape, and plans memory for it: what
/// `plan` prints and what a run allocates.
[[nodiscard]] Placement place_memory(const OpenModel& model, std::uint32_t world,
                                     Transport transport, const NeedsOfDevice& needs,
                                     RunShape& shape);

}  // namespace initrt
