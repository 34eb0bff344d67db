#include "runtime/device/cpu/linear.h"

#include <algorithm>

#include "runtime/device/cpu/pieces.h"
#include "runtime/device/cpu/storage.h"
#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt::cpu {
namespace {

/// Weight bytes per piece: a few microseconds of memory bandwidth.
constexpr std::uint64_t kPieceBytes = 128 << 10;
/// Input bytes that stay in the second-level cache while weights pass by.
constexpr std::uint64_t kInputBytes = 1 << 20;
constexpr std::uint64_t kCacheLine = 64;

/// From one row of rounded inputs to the next: whole cache lines, and one more, so that rows of a
/// power of two do not all fall into the same cache sets.
std::uint64_t scratch_stride(std::size_t input_bytes, std::uint64_t columns) {
  return (columns * input_bytes + kCacheLine - 1) / kCacheLine * kCacheLine + kCacheLine;
}

/// Columns of a piece: a fair share of many for each thread, but a piece's worth of weights at
/// most.
std::uint64_t piece_columns(unsigned threads, std::uint64_t row_bytes, std::uint64_t columns) {
  const std::uint64_t fair = columns / (std::uint64_t{threads} * 4);
  const std::uint64_t most = std::max<std::uint64_t>(kPieceBytes / row_bytes, 4);
  return (std::clamp<std::uint64_t>(fair, 1, most) + 3) / 4 * 4;
}

void round_inputs(ThreadPool& pool, const Kernels& kernels, Storage storage, const float* in,
                  std::uint64_t rows, std::uint64_t columns, std::uint64_t stride,
                  std::span<std::byte> scratch) {
  if (scratch.size() < rows * stride) {
    fail("cpu linear: {} bytes of scratch for {} rows of {} columns, expected {}", scratch.size(),
         rows, columns, rows * stride);
  }
  const auto kernel = kernels.round_inputs[index_of(storage)];
  for_pieces(pool, rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t r = begin; r < end; ++r) {
      kernel(in + r * columns, scratch.data() + r * stride, columns);
    }
  });
}

}  // namespace

std::uint64_t linear_scratch_bytes(const Kernels& kernels, const ProductSizes& products) {
  const Storage storage = storage_of(products.dtype, "linear");
  if (storage == Storage::F32) return 0;
  return products.rows * scratch_stride(kernels.input_bytes[index_of(storage)], products.columns);
}

void linear(ThreadPool& pool, const Kernels& kernels, std::span<std::byte> scratch, const float* in,
            const LinearWeights& weights, float* out, std::uint64_t rows,
            std::uint64_t out_stride) {
  const RowBlocks &weight = weights.weight, &bias = weights.bias;
  const DType dtype = weights.dtype;
  const std::uint64_t in_columns = weights.in_columns, out_columns = weights.out_columns;
  const Storage storage = storage_of(dtype, "linear");
  if (out_stride < out_columns) {
    fail("cpu linear: output rows {} elements apart cannot hold {} columns", out_stride,
         out_columns);
  }
  const void* inputs = in;
  std::uint64_t stride = in_columns * sizeof(float);
  if (storage != Storage::F32) {
    stride = scratch_stride(kernels.input_bytes[index_of(storage)], in_columns);
    round_inputs(pool, kernels, storage, in, rows, in_columns, stride, scratch);
    inputs = scratch.data();
  }

  // Pieces of the output: all columns of one block of rows, then of the next, so that a block's
  // inputs stay in each thread's cache while the weights pass by. No piece goes over the edge of a
  // block of weights.
  const std::uint64_t row_block =
      std::max<std::uint64_t>(kInputBytes / stride / kernels.tile_rows, 4) * kernels.tile_rows;
  const std::uint64_t row_blocks = divide_up(rows, row_block);
  const std::uint64_t row_bytes = std::max<std::uint64_t>(in_columns * bytes_of(storage), 1);
  const std::uint64_t block = std::max<std::uint64_t>(weights.block_columns(), 1);
  const std::uint64_t columns = piece_columns(pool.threads(), row_bytes, out_columns);
  const std::uint64_t pieces_of_block = divide_up(block, columns);
  const std::uint64_t column_pieces = divide_up(out_columns, block) * pieces_of_block;
  const auto kernel = kernels.linear[index_of(storage)];
  const auto add_bias = kernels.accumulate[index_of(storage)];
  for_pieces(pool, row_blocks * column_pieces, 1, [&](std::uint64_t piece, std::uint64_t) {
    const std::uint64_t r = piece / column_pieces * row_block;
    const std::uint64_t block_begin = piece % column_pieces / pieces_of_block * block;
    const std::uint64_t block_end = std::min(block_begin + block, out_columns);
    const std::uint64_t o = block_begin + piece % pieces_of_block * columns;
    if (o >= block_end) return;  // of a last block, which is shorter
    const LinearBlock product{.in = static_cast<const std::byte*>(inputs) + r * stride,
                              .in_stride_bytes = stride,
                              .weight = weight.row(o, row_bytes),
                              .out = out + r * out_stride + o,
                              .rows = std::min(row_block, rows - r),
                              .in_columns = in_columns,
                              .out_columns = std::min(columns, block_end - o),
                              .out_stride = out_stride};
    kernel(product);
    if (!bias) return;
    for (std::uint64_t row = 0; row < product.rows; ++row) {
      add_bias(bias.row(o, bytes_of(storage)), product.out + row * out_stride, product.out_columns);
    }
  });
}

}  // namespace initrt::cpu
