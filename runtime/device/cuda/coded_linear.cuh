// What the kernels of products with codes share: arguments, where a warp's work lies, and the end
// of its sums. A block is four warps, each with four rows of weights and a tile of rows of inputs;
// where a row has several segments, two or four warps share them out between them.
#pragma once

#include <cstdint>

#include "runtime/device/cuda/coded.h"
#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/launch.h"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {

inline constexpr unsigned kCodedWarps = 4;
inline constexpr unsigned kCodedThreads = kCodedWarps * kWarp;
inline constexpr int kCodedOutputs = 4;  // of a warp

/// RowBlocks as kernels go by them: a block's number fits 32 bits.
struct CodedPlace {
  const std::byte* base;
  std::uint64_t stride;
};

struct CodedArguments {
  const std::byte* in;
  std::uint64_t in_row_bytes;
  const float* floats;
  CodedPlace weight, scales, bias;
  std::uint32_t block_rows;  // of weights, scales and biases
  std::uint32_t row_bytes, scale_row_bytes;
  float* out;
  std::uint64_t out_stride;
  std::uint32_t rows, in_columns, out_columns;
  std::uint32_t segments, share;  // of a row; warps that share them
  DType dtype;
  float table[16];
};

/// Row `output` of what lies in blocks.
__device__ __forceinline__ const std::byte* row_of(const CodedPlace& place,
                                                   const CodedArguments& product,
                                                   std::uint32_t output, std::uint32_t row_bytes) {
  return place.base + output / product.block_rows * place.stride +
         std::uint64_t{output % product.block_rows} * row_bytes;
}

/// What a warp computes: outputs from `output` on, of rows from `row` on; of their segments every
/// `share`-th from `part` on.
struct CodedWork {
  std::uint32_t part, output, row;

  template <int kRows>
  __device__ __forceinline__ static CodedWork of_warp(const CodedArguments& product) {
    const std::uint32_t warp = threadIdx.x / kWarp;
    const std::uint32_t groups = kCodedWarps / product.share;
    return {warp % product.share, (blockIdx.x * groups + warp / product.share) * kCodedOutputs,
            blockIdx.y * kRows};
  }

  /// Past the last one, the last one again.
  __device__ __forceinline__ std::uint32_t output_at(int i, const CodedArguments& product) const {
    return min(output + static_cast<std::uint32_t>(i), product.out_columns - 1);
  }
  __device__ __forceinline__ const std::byte* input_at(int i, const CodedArguments& product) const {
    return product.in +
           min(row + static_cast<std::uint32_t>(i), product.rows - 1) * product.in_row_bytes;
  }
};

__device__ __forceinline__ float element_of(DType dtype, const std::byte* at) {
  if (dtype == DType::F32) return *reinterpret_cast<const float*>(at);
  const auto bits = *reinterpret_cast<const std::uint16_t*>(at);
  return dtype == DType::BF16 ? decode::from_bf16(bits) : decode::from_f16(bits);
}

/// Ends all of a block's sums [kCodedOutputs * kRows] of its warps: finish(output, row, sum) is
/// called for each, and what it returns is stored, with the bias.
template <int kRows, class Sum, class Finish>
__device__ __forceinline__ void end_sums(const CodedArguments& product, const CodedWork& work,
                                         Sum (&sums)[kCodedOutputs * kRows], const Finish& finish) {
  constexpr int kSums = kCodedOutputs * kRows;
  constexpr unsigned kLanes = kWarp / kSums;  // that have the same sum
  __shared__ Sum of_warps[kCodedWarps][kSums];
  const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const Sum own = sum_each_over_warp<kSums>(sums);
  if (lane % kLanes == 0) of_warps[warp][lane / kLanes] = own;
  __syncthreads();
  if (work.part != 0 || lane >= kSums) return;
  Sum sum = of_warps[warp][lane];
  for (unsigned other = 1; other < product.share; ++other) sum += of_warps[warp + other][lane];
  const std::uint32_t output = work.output + lane / kRows, row = work.row + lane % kRows;
  if (output >= product.out_columns || row >= product.rows) return;
  float result = finish(output, row, sum);
  if (product.bias.base != nullptr) {
    const std::uint32_t bytes = product.dtype == DType::F32 ? 4 : 2;
    result += element_of(product.dtype, row_of(product.bias, product, output, bytes));
  }
  product.out[row * product.out_stride + output] = result;
}

/// @param in_row_bytes of a row of inputs as the kernel takes them
[[nodiscard]] inline CodedArguments coded_arguments(const LinearWeights& weights,
                                                    const CodedRows& rows,
                                                    std::uint64_t in_row_bytes) {
  CodedArguments product{};
  product.in = rows.in;
  product.in_row_bytes = in_row_bytes;
  product.floats = rows.floats;
  product.weight = {weights.weight.base, weights.weight.stride};
  product.scales = {weights.scales.base, weights.scales.stride};
  product.bias = {weights.bias.base, weights.bias.stride};
  product.block_rows = static_cast<std::uint32_t>(weights.block_columns());
  product.row_bytes =
      static_cast<std::uint32_t>(row_bytes(weights.format, weights.dtype, weights.in_columns));
  product.scale_row_bytes =
      static_cast<std::uint32_t>(scale_row_bytes(weights.format, weights.in_columns));
  product.out = rows.out;
  product.out_stride = rows.out_stride;
  product.rows = static_cast<std::uint32_t>(rows.rows);
  product.in_columns = static_cast<std::uint32_t>(weights.in_columns);
  product.out_columns = static_cast<std::uint32_t>(weights.out_columns);
  product.segments = (product.in_columns + kSegmentElements - 1) / kSegmentElements;
  product.share = product.segments < 2 ? 1 : product.segments < 3 ? 2 : 4;
  product.dtype = weights.dtype;
  return product;
}

/// Calls f.template operator()<kRows>(grid) for the size of tile that takes the rows.
template <class F>
void with_row_tile(const CodedArguments& product, F f) {
  const auto grid = [&](int rows) {
    const std::uint32_t outputs = kCodedOutputs * kCodedWarps / product.share;
    return dim3(
        (product.out_columns + outputs - 1) / outputs,
        (product.rows + static_cast<std::uint32_t>(rows) - 1) / static_cast<std::uint32_t>(rows));
  };
  if (product.rows == 0 || product.out_columns == 0) return;
  if (product.rows == 1) return f.template operator()<1>(grid(1));
  if (product.rows <= 4) return f.template operator()<4>(grid(4));
  return f.template operator()<kCodedRows>(grid(kCodedRows));
}

}  // namespace initrt::cuda
