#include "runtime/device/cpu/inputs.h"

#include "runtime/device/cpu/pieces.h"
#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt::cpu {
namespace {

constexpr std::uint64_t kCacheLine = 64;

/// Whole cache lines, and one more, so that rows of a power of two do not all fall into the same
/// cache sets.
std::uint64_t spread(std::uint64_t bytes) {
  return divide_up(bytes, kCacheLine) * kCacheLine + kCacheLine;
}

/// As CodedInputs has it.
std::uint64_t coded_bytes(std::uint64_t columns) {
  return sizeof(CodedInputs) + divide_up(columns, kCacheLine) * kCacheLine +
         divide_up(columns, 64) * sizeof(std::uint64_t);
}

}  // namespace

InputForm input_form(const LinearWeights& weights) {
  const Storage storage = storage_of(weights.dtype, "linear");
  if (weights.format != WeightFormat::Int8) return {.storage = storage};
  return {.storage = storage, .codes = true, .threshold = weights.outlier_threshold};
}

std::uint64_t input_stride(const Kernels& kernels, const InputForm& form, std::uint64_t columns) {
  if (form.codes) {
    if (columns > int8_columns) {
      fail("cpu linear: int8 weights of {} columns, expected at most {}", columns, int8_columns);
    }
    return spread(coded_bytes(columns));
  }
  if (form.storage == Storage::F32) return 0;
  return spread(columns * kernels.input_bytes[index_of(form.storage)]);
}

Inputs make_inputs(ThreadPool& pool, const Kernels& kernels, const InputForm& form, const float* in,
                   std::uint64_t rows, std::uint64_t columns, std::span<std::byte> scratch) {
  const std::uint64_t stride = input_stride(kernels, form, columns);
  if (stride == 0) return {reinterpret_cast<const std::byte*>(in), columns * sizeof(float)};
  if (scratch.size() < rows * stride) {
    fail("cpu linear: {} bytes of scratch for {} rows of {} columns, expected {}", scratch.size(),
         rows, columns, rows * stride);
  }
  const std::size_t storage = index_of(form.storage);
  for_pieces(pool, rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t r = begin; r < end; ++r) {
      std::byte* to = scratch.data() + r * stride;
      if (form.codes) {
        kernels.code_inputs[storage](in + r * columns, columns, form.threshold, to);
      } else {
        kernels.round_inputs[storage](in + r * columns, to, columns);
      }
    }
  });
  return {scratch.data(), stride};
}

}  // namespace initrt::cpu
