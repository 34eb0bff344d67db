// A tensor as most formats hold it: one part, row-major, without gaps.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sharding/checkpoint/catalog.h"

namespace initrt::testing {

inline TensorEntry dense_entry(std::string name, DType dtype, std::vector<std::uint64_t> shape,
                               std::uint32_t file, std::uint64_t offset) {
  TensorPart part;
  part.file = file;
  part.offset = offset;
  return {std::move(name), dtype, std::move(shape), {std::move(part)}};
}

}  // namespace initrt::testing
