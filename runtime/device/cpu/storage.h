// Dtypes as the kernels' tables have them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/device/cpu/kernels.h"
#include "sharding/dtype.h"
#include "sharding/error.h"
#include "sharding/row_blocks.h"

namespace initrt::cpu {

/// @param op who asks, for the message  @throws Error where no kernel is for that dtype
[[nodiscard]] inline Storage storage_of(DType dtype, const char* op) {
  switch (dtype) {
    case DType::F32:
      return Storage::F32;
    case DType::BF16:
      return Storage::Bf16;
    case DType::F16:
      return Storage::F16;
    default:
      fail("cpu {}: dtype {} is not supported, expected F32, BF16 or F16", op, name(dtype));
  }
}

[[nodiscard]] constexpr std::size_t index_of(Storage storage) {
  return static_cast<std::size_t>(storage);
}

/// Of one element.
[[nodiscard]] constexpr std::size_t bytes_of(Storage storage) {
  return storage == Storage::F32 ? 4 : 2;
}

/// The elements of a float32 vector that lies in blocks; none where there is no such parameter.
[[nodiscard]] inline std::vector<float> dense_floats(const RowBlocks& vector, std::uint64_t count) {
  std::vector<float> dense(vector ? count : 0);
  for (std::uint64_t i = 0; i < dense.size(); ++i) {
    std::memcpy(&dense[i], vector.row(i, sizeof(float)), sizeof(float));
  }
  return dense;
}

}  // namespace initrt::cpu
