// A weight that a checkpoint stores as codes, with what makes numbers of them in other tensors:
// what has to be read for some of its rows. runtime/convert/dequantize.h makes the numbers.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sharding/dtype.h"

namespace initrt {

/// How numbers are made of codes. Activations that a checkpoint would quantize too stay as they
/// are.
enum class QuantMethod : std::uint8_t {
  Bytes,         ///< a code of eight bits, F8_E4M3 or I8: (code - zero) * scale of its block
  LlmInt8,       ///< bitsandbytes' eight bits: code * SCB of its row / 127
  FourBitTable,  ///< bitsandbytes' nf4 and fp4: entry of a table * absmax of its block
  Gptq,          ///< columns packed in words of rows: (code - zero) * scale of its group
  Awq,           ///< rows packed in words of columns (the "gemm" version): the same
  PackedInts,    ///< compressed-tensors' packed integers: the same
  Fp4,           ///< E2M1, two to a byte: value * scale of its group (MXFP4, NVFP4)
};

/// What a tensor is to a quantized weight.
enum class QuantRole : std::uint8_t {
  Codes,
  Scales,
  Zeros,
  GroupIndex,    ///< the group of each column
  SecondScale,   ///< one for the whole tensor, of its scales
  Shape,         ///< of the weight, as compressed-tensors writes it
  RowFormat,     ///< a byte that is 0 where bitsandbytes' int8 weights are row-major
  State,         ///< bitsandbytes' JSON about four-bit weights
  Table,         ///< the 16 values of four-bit codes
  NestedScales,  ///< of scales that are codes themselves
  NestedTable,   ///< the 256 values of those codes
};

/// Which part of a tensor belongs to some of the weight's rows.
enum class QuantAxis : std::uint8_t {
  None,     ///< all of it, to all rows
  Rows,     ///< some of its rows
  Columns,  ///< some of its columns
  Flat,     ///< some of its elements, which are one row or one column
};

/// One tensor of a quantized weight, seen as a matrix: rows are counted over all but the last
/// dimension (a tensor of one dimension is one row, a scalar one element). Row r of the weight
/// needs from element floor(r * per / of) along the axis to ceil((r + 1) * per / of).
struct QuantComponent {
  QuantRole role = QuantRole::Codes;
  std::uint32_t tensor = 0;  ///< index into Catalog::tensors
  DType dtype = DType::U8;
  std::uint64_t rows = 1, columns = 1;
  QuantAxis axis = QuantAxis::None;
  std::uint64_t per = 1, of = 1;
  std::string name;  ///< the tensor's, for errors
  /// The same of the weight's columns: Rows or Columns, whichever `axis` is not, of which one
  /// element is `column_of` columns'. None: any columns need all of it.
  QuantAxis column_axis = QuantAxis::None;
  std::uint64_t column_of = 1;

  bool operator==(const QuantComponent&) const = default;
};

struct QuantizedWeight {
  QuantMethod method = QuantMethod::Bytes;
  std::uint64_t rows = 0, columns = 0;     ///< of the weight, [out, in]
  std::vector<QuantComponent> components;  ///< the codes first
  std::uint32_t bits = 8;                  ///< of a code
  /// Elements of a row that share a scale (of FourBitTable: consecutive elements, rows not minded),
  /// and rows that do. GroupIndex, where there is one, says more, or says the same: where it has a
  /// column_axis.
  std::uint64_t block_columns = 1, block_rows = 1;
  std::uint32_t zero_offset = 0;   ///< added to stored zeros: GPTQ's first format has one less
  bool symmetric = false;          ///< of GPTQ: the config says that zeros are half of the codes
  bool second_divides = false;     ///< scales are divided by SecondScale, not multiplied
  std::uint64_t nested_block = 0;  ///< scales that share one of NestedScales; 0: they are no codes

  /// The component of a role, or null.
  [[nodiscard]] const QuantComponent* find(QuantRole role) const;
  /// What is made of some of its columns begins and ends at multiples of so many, or at an end; 0:
  /// only whole rows are made.
  [[nodiscard]] std::uint64_t column_step() const;
  /// Parts that begin and end at multiples of so many rows share nothing that is cut by columns.
  [[nodiscard]] std::uint64_t row_step() const;

  bool operator==(const QuantizedWeight&) const = default;
};

/// Some rows of a weight, and some of their columns.
struct WeightPart {
  std::uint64_t row = 0, rows = 0;
  std::uint64_t column = 0, columns = 0;
};
[[nodiscard]] WeightPart whole_rows(const QuantizedWeight& weight, std::uint64_t first,
                                    std::uint64_t rows);

/// One rectangle of a stored tensor that has to be read, the tensor seen as QuantComponent says, in
/// its own dtype.
struct SourceBox {
  std::uint32_t tensor = 0;  ///< index into Catalog::tensors
  std::uint64_t row = 0, rows = 0, column = 0, columns = 0;
  DType dtype = DType::U8;

  /// What it takes where it lies densely, row-major.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_of(dtype, rows * columns); }
};

/// Where boxes that lie one after the other begin: at multiples of this many bytes.
inline constexpr std::uint64_t kBoxAlignment = 64;

/// The part [begin, end) of a component along its axis that rows [first, first + rows) need.
[[nodiscard]] std::pair<std::uint64_t, std::uint64_t> part_of(const QuantComponent& component,
                                                              std::uint64_t first,
                                                              std::uint64_t rows);

/// What has to be read to make a part of the weight: a box of each component, in their order.
/// @throws Error where the weight has no such part
[[nodiscard]] std::vector<SourceBox> source_boxes(const QuantizedWeight& weight,
                                                  const WeightPart& part);
/// Of whole rows.
[[nodiscard]] std::vector<SourceBox> source_boxes(const QuantizedWeight& weight,
                                                  std::uint64_t first, std::uint64_t rows);

/// Where each of some boxes lies that follow one another, at multiples of kBoxAlignment.
[[nodiscard]] std::vector<std::uint64_t> box_offsets(const std::vector<SourceBox>& boxes);

/// What they take so.
[[nodiscard]] std::uint64_t scratch_bytes(const std::vector<SourceBox>& boxes);

}  // namespace initrt
