#include "runtime/device/cpu/inputs.h"

#include <algorithm>

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

InputForm input_form(const LinearProduct& product) {
  const LinearWeights& weights = product.weights;
  InputForm form{.storage = storage_of(weights.dtype, "linear"),
                 .first = product.in_column,
                 .columns = weights.in_columns};
  if (weights.format == WeightFormat::Int8) {
    form.codes = true;
    form.threshold = weights.outlier_threshold;
  }
  return form;
}

std::uint64_t input_stride(const Kernels& kernels, const InputForm& form) {
  if (form.codes) {
    if (form.columns > int8_columns) {
      fail("cpu linear: int8 weights of {} columns, expected at most {}", form.columns,
           int8_columns);
    }
    return spread(coded_bytes(form.columns));
  }
  if (form.storage == Storage::F32) return 0;
  return spread(form.columns * kernels.input_bytes[index_of(form.storage)]);
}

Inputs make_inputs(ThreadPool& pool, const Kernels& kernels, const InputForm& form, const float* in,
                   std::uint64_t rows, std::uint64_t stride, std::span<std::byte> scratch) {
  in += form.first;
  const std::uint64_t out_stride = input_stride(kernels, form);
  if (out_stride == 0) return {reinterpret_cast<const std::byte*>(in), stride * sizeof(float)};
  if (scratch.size() < rows * out_stride) {
    fail("cpu linear: {} bytes of scratch for {} rows of {} columns, expected {}", scratch.size(),
         rows, form.columns, rows * out_stride);
  }
  const std::size_t storage = index_of(form.storage);
  const std::uint64_t group = form.codes ? 1 : kernels.input_rows[storage];
  const std::uint64_t piece = divide_up(rows_per_piece(form.columns), group) * group;
  for_pieces(pool, rows, piece, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t r = begin; r < end; r += group) {
      std::byte* to = scratch.data() + r * out_stride;
      if (form.codes) {
        kernels.code_inputs[storage](in + r * stride, form.columns, form.threshold, to);
      } else {
        kernels.round_inputs[storage](in + r * stride, stride, std::min(group, end - r),
                                      form.columns, to);
      }
    }
  });
  return {scratch.data(), out_stride};
}

}  // namespace initrt::cpu
