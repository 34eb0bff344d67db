// Tensors that lie in several boxes: over files, or over the ranks that saved them.
#pragma once

#include <string_view>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// Checks that a tensor's parts hold each of its elements once. Their boxes must come apart by cuts
/// through all of a box at once, as every way of sharding cuts them; each part is known to lie
/// inside the tensor. @throws Error beginning with `who` where elements are missing or held twice
void check_parts_cover(const TensorEntry& tensor, std::string_view who);

}  // namespace initrt
