// Which experts a token goes to. A few hundred scores for each row: plain code, the same for every
// instruction set.
#pragma once

#include <span>

#include "runtime/device/device.h"

namespace initrt::cpu {

/// The out.size() experts with the largest softmax(scores), largest first, of equal ones the first;
/// weights are their probabilities. @param normalize divides the weights by their sum
void choose_experts(std::span<const float> scores, bool normalize, std::span<Choice> out);

}  // namespace initrt::cpu
