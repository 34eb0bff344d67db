// Matrix products of the CUDA device, and tables that are held in codes: plain weights by cuBLASLt
// (linear.h), codes by kernels of our own (coded.h).
#include <algorithm>
#include <limits>
#include <optional>

#include "runtime/device/cuda/coded.h"
#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/kernels.h"
#include "sharding/error.h"

namespace initrt::cuda {
namespace {

/// Of blocks, as kernels read them 16 bytes at once. All of a unit's parameters are so.
bool aligned(const RowBlocks& blocks, std::uint64_t to) {
  return (reinterpret_cast<std::uintptr_t>(blocks.base) | blocks.stride) % to == 0;
}

void check_coded(const LinearProduct& product, std::uint64_t rows) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
  const LinearWeights& weights = product.weights;
  if (product.in_column != 0 || product.input_columns() != weights.in_columns) {
    fail("cuda linear: columns {} and {} more of {} for {} weights", product.in_column,
         weights.in_columns, product.input_columns(), name(weights.format));
  }
  if (scale_row_bytes(weights.format, weights.in_columns) > 0 && !weights.scales) {
    fail("cuda linear: {} weights without their scales", name(weights.format));
  }
  const std::uint64_t bytes = row_bytes(weights.format, weights.dtype, weights.in_columns);
  if (std::max({rows, weights.out_columns, bytes}) > kMost) {
    fail("cuda linear: {} rows, and {} rows of {} bytes of {} weights, expected at most {} of each",
         rows, weights.out_columns, bytes, name(weights.format), kMost);
  }
  const auto check_aligned = [&](const RowBlocks& blocks, std::size_t to, const char* what) {
    if (aligned(blocks, to)) return;
    fail("cuda linear: {} of {} at {} in blocks {} bytes apart, expected multiples of {}", what,
         name(weights.format), static_cast<const void*>(blocks.base), blocks.stride, to);
  };
  check_aligned(weights.weight, 16, "codes");
  check_aligned(weights.scales, has_coded_scales(weights.format) ? 1 : sizeof(float), "scales");
}

void check_product(const LinearProduct& product, std::uint64_t in_stride) {
  const auto& [weights, out, out_stride, in_column, stride] = product;
  if (product.input_columns() != in_stride || in_column + weights.in_columns > in_stride) {
    fail("cuda linear: columns {} to {} of inputs of {}", in_column, in_column + weights.in_columns,
         in_stride);
  }
  if (out_stride < weights.out_columns) {
    fail("cuda linear: output rows {} elements apart cannot hold {} columns", out_stride,
         weights.out_columns);
  }
}

}  // namespace

void CudaDevice::decode_rows(const std::byte* in, WeightFormat format, DType dtype, float* out,
                             std::uint64_t elements) {
  if (!aligned(in, 4)) {
    fail("cuda decode_rows: rows of {} at {}, expected a multiple of 4", initrt::name(format),
         static_cast<const void*>(in));
  }
  cuda::decode_rows(stream(), in, format, dtype, out, elements);
}

void CudaDevice::linear(const float* in, const LinearWeights& weights, float* out,
                        std::uint64_t rows, std::uint64_t out_stride) {
  const LinearProduct product{weights, out, out_stride};
  linear_of_each(in, std::span(&product, 1), rows);
}

void CudaDevice::linear_of_each(const float* in, std::span<const LinearProduct> products,
                                std::uint64_t rows) {
  if (rows == 0 || products.empty()) return;
  check_rows(rows, "linear");
  const std::uint64_t in_stride = products.front().input_columns();
  std::optional<InputForm> made;
  const std::byte* inputs = nullptr;
  for (const LinearProduct& product : products) {
    const LinearWeights& weights = product.weights;
    check_product(product, in_stride);
    const InputForm form = input_form(weights);
    if (form.kind != InputForm::Kind::Dense) check_coded(product, rows);
    if (made != form) {
      inputs = product_inputs(in, form, rows, in_stride);
      made = form;
    }
    const CodedRows coded{inputs, in, rows, product.out, product.out_stride};
    if (form.kind == InputForm::Kind::Dense) {
      multiply_plain(product, inputs, rows);
    } else if (weights.format == WeightFormat::Int8) {
      linear_int8(stream(), weights, coded);
    } else if (dtype_of(weights.format, weights.dtype) == DType::U8) {
      linear_four_bit(stream(), weights, coded);
    } else {
      linear_blocks(stream(), weights, coded);
    }
  }
}

void CudaDevice::multiply_plain(const LinearProduct& product, const std::byte* inputs,
                                std::uint64_t rows) {
  const auto& [weights, out, out_stride, in_column, stride] = product;
  const std::uint64_t block = weights.block_columns();
  for (std::uint64_t first = 0; first < weights.out_columns; first += block) {
    LinearWeights dense = weights;
    dense.weight = weights.weight.row(first, bytes_of(weights.dtype, weights.in_columns));
    dense.out_columns = std::min(block, weights.out_columns - first);
    dense.whole_columns = std::max(weights.whole_columns, weights.out_columns);
    // Rows up to a whole tile are computed from whatever lies there, and used by nobody.
    linear_->run(stream(), inputs + bytes_of(weights.dtype, in_column), product.input_columns(),
                 dense, out + first, (rows + kRowTile - 1) / kRowTile, out_stride,
                 {scratch<std::byte>(division_.workspace), kWorkspaceBytes});
    if (!weights.bias) continue;
    add_bias(stream(), weights.bias.row(first, bytes_of(weights.dtype, 1)), weights.dtype,
             out + first, rows, dense.out_columns, out_stride);
  }
}

CudaDevice::InputForm CudaDevice::input_form(const LinearWeights& weights) {
  using Kind = InputForm::Kind;
  switch (weights.format) {
    case WeightFormat::Plain:
    case WeightFormat::Float32:
      return {Kind::Dense, weights.dtype, 0.0f};
    case WeightFormat::Int8:
      return {Kind::Bytes, weights.dtype, weights.outlier_threshold};
    default:
      return {Kind::LaneOrder, weights.dtype, 0.0f};
  }
}

const std::byte* CudaDevice::product_inputs(const float* in, const InputForm& form,
                                            std::uint64_t rows, std::uint64_t columns) {
  const auto [kind, dtype, threshold] = form;
  if (kind == InputForm::Kind::Dense && dtype == DType::F32) {
    return reinterpret_cast<const std::byte*>(in);
  }
  const std::uint64_t row_bytes = kind == InputForm::Kind::Dense ? bytes_of(dtype, columns)
                                  : kind == InputForm::Kind::LaneOrder
                                      ? lane_order_bytes(bytes_of(dtype, 1), columns)
                                      : byte_inputs_bytes(columns);
  const std::uint64_t room = scratch_.size() - division_.inputs;
  if (rows * row_bytes > room) {
    fail("cuda linear: {} rows of {} columns do not fit {} bytes of scratch", rows, columns, room);
  }
  auto* const made = scratch<std::byte>(division_.inputs);
  if (kind == InputForm::Kind::Dense) {
    round_to(stream(), in, dtype, made, rows * columns);
  } else if (kind == InputForm::Kind::LaneOrder) {
    put_in_lane_order(stream(), in, dtype, rows, columns, made);
  } else {
    make_byte_inputs(stream(), in, dtype, threshold, rows, columns, made);
  }
  return made;
}

}  // namespace initrt::cuda
