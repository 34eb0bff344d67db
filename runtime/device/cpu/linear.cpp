#include "runtime/device/cpu/linear.h"

#include <algorithm>
#include <optional>

#include "runtime/device/cpu/inputs.h"
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

/// Columns of a piece: a fair share of many for each thread, but a piece's worth of weights at
/// most.
std::uint64_t piece_columns(unsigned threads, std::uint64_t row_bytes, std::uint64_t columns) {
  const std::uint64_t fair = columns / (std::uint64_t{threads} * 4);
  const std::uint64_t most = std::max<std::uint64_t>(kPieceBytes / row_bytes, 4);
  return (std::clamp<std::uint64_t>(fair, 1, most) + 3) / 4 * 4;
}

/// A part of the output: rows [r, r + rows) of columns [o, o + columns), whose weights lie in one
/// block.
struct Piece {
  std::uint64_t r, rows, o, columns;
};

/// body(Piece) over all of the output: all columns of one block of rows, then of the next, so that
/// a block's inputs stay in each thread's cache while the weights pass by.
template <class Body>
void for_output(ThreadPool& pool, std::uint64_t rows, std::uint64_t row_block,
                std::uint64_t columns, std::uint64_t block, std::uint64_t row_bytes,
                const Body& body) {
  const std::uint64_t row_blocks = divide_up(rows, row_block);
  const std::uint64_t most = piece_columns(pool.threads(), row_bytes, columns);
  const std::uint64_t pieces_of_block = divide_up(block, most);
  const std::uint64_t column_pieces = divide_up(columns, block) * pieces_of_block;
  for_pieces(pool, row_blocks * column_pieces, 1, [&](std::uint64_t piece, std::uint64_t) {
    const std::uint64_t r = piece / column_pieces * row_block;
    const std::uint64_t block_begin = piece % column_pieces / pieces_of_block * block;
    const std::uint64_t block_end = std::min(block_begin + block, columns);
    const std::uint64_t o = block_begin + piece % pieces_of_block * most;
    if (o >= block_end) return;  // of a last block, which is shorter
    body({r, std::min(row_block, rows - r), o, std::min(most, block_end - o)});
  });
}

/// How a product's weights lie, and what multiplies with them.
class Product {
 public:
  Product(const Kernels& kernels, const LinearProduct& product, const float* in,
          const Inputs& inputs)
      : kernels_(kernels),
        weights_(product.weights),
        out_(product.out),
        out_stride_(product.out_stride),
        in_(in),
        inputs_(inputs),
        in_bytes_(product.in_column *
                  kernels.input_bytes[index_of(storage_of(weights_.dtype, "linear"))]),
        storage_(index_of(storage_of(weights_.dtype, "linear"))),
        row_bytes_(initrt::row_bytes(weights_.format, weights_.dtype, weights_.in_columns)),
        scale_row_bytes_(initrt::scale_row_bytes(weights_.format, weights_.in_columns)) {}

  /// Bytes of a row of weights, all in all.
  [[nodiscard]] std::uint64_t row_bytes() const {
    return std::max<std::uint64_t>(row_bytes_ + scale_row_bytes_, 1);
  }

  /// Rows of inputs that meet weights together.
  [[nodiscard]] std::uint64_t row_block() const {
    const std::uint64_t tile = kernels_.tile_rows;
    const std::uint64_t stride = std::max<std::uint64_t>(inputs_.stride, 1);
    const std::uint64_t rows = std::max<std::uint64_t>(kInputBytes / stride / tile, 4) * tile;
    return weights_.format == WeightFormat::Plain ? rows
                                                  : std::min<std::uint64_t>(rows, coded_rows);
  }

  void multiply(const Piece& piece) const {
    float* out = out_ + piece.r * out_stride_ + piece.o;
    if (weights_.format == WeightFormat::Plain) {
      kernels_.linear[storage_]({.in = inputs_.data + piece.r * inputs_.stride + in_bytes_,
                                 .in_stride_bytes = inputs_.stride,
                                 .weight = weights_.weight.row(piece.o, row_bytes_),
                                 .out = out,
                                 .rows = piece.rows,
                                 .in_columns = weights_.in_columns,
                                 .out_columns = piece.columns,
                                 .out_stride = out_stride_});
    } else {
      multiply_coded(piece, out);
    }
    if (!weights_.bias) return;
    const std::uint64_t bias_bytes = bytes_of(static_cast<Storage>(storage_));
    for (std::uint64_t row = 0; row < piece.rows; ++row) {
      kernels_.accumulate[storage_](weights_.bias.row(piece.o, bias_bytes), out + row * out_stride_,
                                    piece.columns);
    }
  }

 private:
  void multiply_coded(const Piece& piece, float* out) const {
    const CodedBlock block{
        .in = inputs_.data + piece.r * inputs_.stride,
        .in_stride_bytes = inputs_.stride,
        .floats = in_ + piece.r * weights_.in_columns,
        .codes = weights_.weight.row(piece.o, row_bytes_),
        .scales = weights_.scales ? weights_.scales.row(piece.o, scale_row_bytes_) : nullptr,
        .row_bytes = row_bytes_,
        .scale_row_bytes = scale_row_bytes_,
        .out = out,
        .rows = piece.rows,
        .in_columns = weights_.in_columns,
        .out_columns = piece.columns,
        .out_stride = out_stride_};
    if (weights_.format == WeightFormat::Int8) {
      kernels_.linear_int8[storage_](block);
    } else {
      const auto format = static_cast<std::size_t>(weights_.format);
      kernels_.linear_decoded[storage_](block, kernels_.decoders[format][storage_]);
    }
  }

  const Kernels& kernels_;
  const LinearWeights& weights_;
  float* const out_;
  const std::uint64_t out_stride_;
  const float* const in_;
  const Inputs inputs_;
  const std::uint64_t in_bytes_;  // of a row of inputs before those of the product
  const std::size_t storage_;
  const std::uint64_t row_bytes_, scale_row_bytes_;
};

void check(const LinearProduct& product) {
  const LinearWeights& weights = product.weights;
  if (product.out_stride < weights.out_columns) {
    fail("cpu linear: output rows {} elements apart cannot hold {} columns", product.out_stride,
         weights.out_columns);
  }
  const bool part = product.in_column != 0 || product.input_columns() != weights.in_columns;
  if (product.in_column + weights.in_columns > product.input_columns() ||
      (part && weights.format != WeightFormat::Plain)) {
    fail("cpu linear: columns {} and {} more of {} for {} weights", product.in_column,
         weights.in_columns, product.input_columns(), name(weights.format));
  }
  if (scale_row_bytes(weights.format, weights.in_columns) > 0 && !weights.scales) {
    fail("cpu linear: {} weights without their scales", name(weights.format));
  }
}

}  // namespace

std::uint64_t linear_scratch_bytes(const Kernels& kernels, const ProductSizes& products) {
  InputForm form{.storage = storage_of(products.dtype, "linear")};
  std::uint64_t stride = input_stride(kernels, form, products.columns);
  if (products.formats.has(WeightFormat::Int8)) {
    form.codes = true;
    stride = std::max(stride, input_stride(kernels, form, products.columns));
  }
  return checked_product("scratch", {products.rows, stride});
}

void linear(ThreadPool& pool, const Kernels& kernels, std::span<std::byte> scratch, const float* in,
            std::span<const LinearProduct> products, std::uint64_t rows) {
  std::optional<InputForm> made;
  Inputs inputs;
  for (const LinearProduct& product : products) {
    const LinearWeights& weights = product.weights;
    const InputForm form = input_form(weights);
    check(product);
    if (made != form) {
      inputs = make_inputs(pool, kernels, form, in, rows, product.input_columns(), scratch);
      made = form;
    }
    const Product work(kernels, product, in, inputs);
    for_output(pool, rows, work.row_block(), weights.out_columns,
               std::max<std::uint64_t>(weights.block_columns(), 1), work.row_bytes(),
               [&](const Piece& piece) { work.multiply(piece); });
  }
}

}  // namespace initrt::cpu
