// Products with weights that are held as codes. Each sum has one order, which goes by the number of
// columns alone: lanes sum their elements of a segment in order, warps of a block the segments in
// turn, then lanes, then warps. So the same kernel does few rows and many.
//
// Codes are read from memory once for a tile of up to kCodedRows rows, and decoded in registers.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "runtime/device/cuda/coded_inputs.h"
#include "runtime/device/ops.h"

namespace initrt::cuda {

/// The most rows that codes are read once for.
inline constexpr int kCodedRows = 8;

/// Inputs [rows, columns] rounded to `dtype`, in lane_order_bytes() a row.
void put_in_lane_order(cudaStream_t stream, const float* in, DType dtype, std::uint64_t rows,
                       std::uint64_t columns, std::byte* out);

/// Inputs [rows, columns] rounded to `dtype` and made codes, in byte_inputs_bytes() a row.
/// @param threshold of outliers; not above 0: none are
void make_byte_inputs(cudaStream_t stream, const float* in, DType dtype, float threshold,
                      std::uint64_t rows, std::uint64_t columns, std::byte* out);

/// Where a product's inputs are and its results go.
struct CodedRows {
  const std::byte* in;  ///< in lane order, or of Int8 ByteInputs
  const float* floats;  ///< of Int8: the same as they came, [rows, in_columns]
  std::uint64_t rows;
  float* out;
  std::uint64_t out_stride;  ///< elements
};

/// out[r, o] = sum_k in[r, k] * weight[o, k] + bias[o]: formats of four bits and GGUF's blocks
/// dequantized to the weights' dtype; of Int8 with the bits of the CPU device.
/// @param weights of a format that is_coded(), 16-byte aligned as all of a unit's parameters are
void linear_four_bit(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows);
void linear_blocks(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows);
void linear_int8(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows);

/// As Device::decode_rows(), of GGUF's blocks. @param in 4-byte aligned
void decode_rows(cudaStream_t stream, const std::byte* in, WeightFormat format, DType dtype,
                 float* out, std::uint64_t elements);

}  // namespace initrt::cuda
