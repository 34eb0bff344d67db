// Which experts a token goes to. A few hundred scores for each row: plain code but for exp().
#pragma once

#include <span>

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/ops.h"

namespace initrt::cpu {

/// One row's routing.chosen experts and their weights; a NaN is the lowest of scores.
/// @param correction added to the scores for the choice alone; may be empty
/// @param kernels whose exp() it is: the standard library's may differ from one machine to another
void choose_experts(std::span<const float> logits, const Routing& routing,
                    std::span<const float> correction, const Kernels& kernels,
                    std::span<ExpertChoice> out);

}  // namespace initrt::cpu
