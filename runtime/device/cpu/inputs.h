// Inputs of matrix products in the form that kernels take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/storage.h"
#include "runtime/device/cpu/thread_pool.h"
#include "runtime/device/ops.h"

namespace initrt::cpu {

struct InputForm {
  Storage storage = Storage::F32;
  bool codes = false;                    ///< of Int8; else numbers rounded to the storage type
  float threshold = 0.0f;                ///< of codes
  std::uint64_t first = 0, columns = 0;  ///< of a row

  bool operator==(const InputForm&) const = default;
};

/// @throws Error where no kernel is for that dtype
[[nodiscard]] InputForm input_form(const LinearProduct& product);

/// Bytes from row to row of what make_inputs() writes; 0 where kernels take inputs as they are.
/// @throws Error where codes are of more columns than their sums are exact for
[[nodiscard]] std::uint64_t input_stride(const Kernels& kernels, const InputForm& form);

/// Inputs in their form: row t, a multiple of Kernels::input_rows, at data + t * stride.
struct Inputs {
  const std::byte* data = nullptr;
  std::uint64_t stride = 0;  ///< bytes
};

/// @param in [rows, stride], of which the form takes some columns  @param scratch where they go,
/// unless they are taken as they are
/// @throws Error where the scratch is too small
[[nodiscard]] Inputs make_inputs(ThreadPool& pool, const Kernels& kernels, const InputForm& form,
                                 const float* in, std::uint64_t rows, std::uint64_t stride,
                                 std::span<std::byte> scratch);

}  // namespace initrt::cpu
