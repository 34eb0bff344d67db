// Which experts a token goes to. A few hundred scores for each row: plain code but for exp().
#pragma once

#include <span>

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/ops.h"

namespace initrt::cpu {

/// The out.size() experts with the largest softmax(scores), largest first, of equal ones the first;
/// weights are their probabilities. @param normalize divides the weights by their sum
/// @param kernels whose exp() it is: the standard library's may differ from one machine to another
void choose_experts(std::span<const float> scores, bool normalize, const Kernels& kernels,
                    std::span<ExpertChoice> out);

}  // namespace initrt::cpu
