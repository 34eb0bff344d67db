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

static_assert(scale_phase_at == CodedScaleRow::kPhase && scale_codes_at == CodedScaleRow::kCodes &&
              scale_block == kScaleBlock);

/// Weight bytes per piece of few rows: some ten microseconds of memory bandwidth.
constexpr std::uint64_t kPieceBytes = 1024 << 10;
/// And of many: half of a second-level cache, where they stay while rows pass by.
constexpr std::uint64_t kManyRowsPieceBytes = 512 << 10;
/// Input bytes that stay in the second-level cache while codes pass by.
constexpr std::uint64_t kInputBytes = 1 << 20;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
  return divide_up(value, step) * step;
}

/// A part of the output: rows [r, r + rows) of columns [o, o + columns), whose weights lie in one
/// block.
struct Piece {
  std::uint64_t r, rows, o, columns;
  std::uint64_t next;  ///< a column of what this thread probably gets next
};

/// How an output is cut into pieces.
struct Grid {
  std::uint64_t rows, columns;  ///< of a piece at most; whole tiles, or all of them
};

/// body(Piece) over all of the output: all rows of some columns, then of the next, so that each
/// weight comes from memory once. @param block columns whose weights are one block
template <class Body>
void for_output(ThreadPool& pool, std::uint64_t rows, std::uint64_t columns, std::uint64_t block,
                const Grid& grid, const Body& body) {
  const std::uint64_t row_pieces = divide_up(rows, grid.rows);
  const std::uint64_t pieces_of_block = divide_up(block, grid.columns);
  const auto first_column = [&](std::uint64_t column_piece) {
    return column_piece / pieces_of_block * block + column_piece % pieces_of_block * grid.columns;
  };
  for_pieces(pool, row_pieces * divide_up(columns, block) * pieces_of_block, 1,
             [&](std::uint64_t piece, std::uint64_t) {
               const std::uint64_t column_piece = piece / row_pieces;
               const std::uint64_t o = first_column(column_piece);
               const std::uint64_t end =
                   std::min((column_piece / pieces_of_block + 1) * block, columns);
               if (o >= end) return;  // of a last block, which is shorter
               const std::uint64_t r = piece % row_pieces * grid.rows;
               const std::uint64_t next = first_column((piece + pool.threads()) / row_pieces);
               body({r, std::min(grid.rows, rows - r), o, std::min(grid.columns, end - o),
                     next < columns ? next : o});
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
        storage_(index_of(storage_of(weights_.dtype, "linear"))),
        row_bytes_(initrt::row_bytes(weights_.format, weights_.dtype, weights_.in_columns)),
        scale_row_bytes_(initrt::scale_row_bytes(weights_.format, weights_.in_columns)) {}

  /// Bytes of a row of weights, all in all.
  [[nodiscard]] std::uint64_t row_bytes() const {
    return std::max<std::uint64_t>(row_bytes_ + scale_row_bytes_, 1);
  }

  /// @param block columns whose weights are one block
  [[nodiscard]] Grid grid(unsigned threads, std::uint64_t rows, std::uint64_t block) const {
    const std::uint64_t tile = kernels_.tile_rows[storage_];
    const std::uint64_t outputs = kernels_.tile_outputs[storage_];
    const bool plain = weights_.format == WeightFormat::Plain;
    if (plain && rows > few_row_tiles * tile) return grid_of_many_rows(threads, rows, block);
    // A fair share of many for each thread, but a piece's worth of weights at most.
    const std::uint64_t fair = weights_.out_columns / (std::uint64_t{threads} * 4);
    const std::uint64_t most = std::max<std::uint64_t>(kPieceBytes / row_bytes(), outputs);
    const std::uint64_t columns = round_up(std::clamp<std::uint64_t>(fair, 1, most), outputs);
    if (plain) return {rows, columns};
    const std::uint64_t stride = std::max<std::uint64_t>(inputs_.stride, 1);
    const std::uint64_t cached = std::max<std::uint64_t>(kInputBytes / stride / tile, 4) * tile;
    return {std::min<std::uint64_t>(cached, coded_rows), columns};
  }

  void multiply(const Piece& piece) const {
    float* out = out_ + piece.r * out_stride_ + piece.o;
    if (weights_.format == WeightFormat::Plain) {
      kernels_.linear[storage_]({.in = inputs_.data + piece.r * inputs_.stride,
                                 .in_stride_bytes = inputs_.stride,
                                 .weight = weights_.weight.row(piece.o, row_bytes_),
                                 .next_weight = weights_.weight.row(piece.next, row_bytes_),
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
  // As many columns as the cache takes; where that is too few pieces for all threads, rows are
  // shared out too, some tiles at least.
  [[nodiscard]] Grid grid_of_many_rows(unsigned threads, std::uint64_t rows,
                                       std::uint64_t block) const {
    const std::uint64_t tile = kernels_.tile_rows[storage_];
    const std::uint64_t outputs = kernels_.tile_outputs[storage_];
    std::uint64_t most = kernels_.piece_outputs[storage_];
    if (most == 0) {
      most = std::max<std::uint64_t>(kManyRowsPieceBytes / row_bytes() / outputs, 1) * outputs;
    }
    const std::uint64_t columns = std::min(round_up(block, outputs), most);
    const std::uint64_t pieces = divide_up(weights_.out_columns, columns);
    const std::uint64_t wanted = divide_up(std::uint64_t{threads} * 4, pieces);
    const std::uint64_t shares = std::clamp<std::uint64_t>(rows / (4 * tile), 1, wanted);
    return {round_up(divide_up(rows, shares), tile), columns};
  }

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
  InputForm form{.storage = storage_of(products.dtype, "linear"), .columns = products.columns};
  std::uint64_t stride = input_stride(kernels, form);
  if (products.formats.has(WeightFormat::Int8)) {
    form.codes = true;
    stride = std::max(stride, input_stride(kernels, form));
  }
  return checked_product("scratch", {products.rows, stride});
}

void linear(ThreadPool& pool, const Kernels& kernels, std::span<std::byte> scratch, const float* in,
            std::span<const LinearProduct> products, std::uint64_t rows) {
  std::optional<InputForm> made;
  Inputs inputs;
  for (const LinearProduct& product : products) {
    const LinearWeights& weights = product.weights;
    const InputForm form = input_form(product);
    check(product);
    if (made != form) {
      inputs = make_inputs(pool, kernels, form, in, rows, product.input_columns(), scratch);
      made = form;
    }
    if (rows == 0 || weights.out_columns == 0) continue;
    const Product work(kernels, product, in, inputs);
    const std::uint64_t block = std::max<std::uint64_t>(weights.block_columns(), 1);
    for_output(pool, rows, weights.out_columns, block, work.grid(pool.threads(), rows, block),
               [&](const Piece& piece) { work.multiply(piece); });
  }
}

}  // namespace initrt::cpu
