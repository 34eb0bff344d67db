// Element types of checkpoints and of units, with their storage sizes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace initrt {

/// Element types. Those up to BOOL are safetensors' (F4 and F6 are packed without gaps, two
/// elements to a byte and four to three); those from Q4_0 on are GGUF's block-quantized types: a
/// block of `block_elements` consecutive elements of a row is stored in `block_bytes` bytes
/// (layouts: ggml's `block_q4_0` and siblings, documented in the GGUF specification).
enum class DType : std::uint8_t {
  F64,
  F32,
  F16,
  BF16,
  F8_E4M3,
  F8_E5M2,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  F8_E8M0,
  F6_E2M3,
  F6_E3M2,
  F4,
  C64,
  I64,
  U64,
  I32,
  U32,
  I16,
  U16,
  I8,
  U8,
  BOOL,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  IQ4_NL,
  MXFP4,
};

/// Whether safetensors files can hold it.
[[nodiscard]] constexpr bool is_safetensors(DType dtype) { return dtype <= DType::BOOL; }

[[nodiscard]] constexpr bool is_integer(DType dtype) {
  return dtype >= DType::I64 && dtype <= DType::BOOL;
}
/// Of floats.
[[nodiscard]] constexpr bool has_8_bits_or_fewer(DType dtype) {
  return dtype >= DType::F8_E4M3 && dtype <= DType::F4;
}

struct DTypeInfo {
  DType dtype;
  std::string_view name;         ///< as safetensors or GGUF spell it, e.g. "BF16", "Q4_1"
  std::uint32_t block_elements;  ///< 1 for plain types, whose elements can be apart
  std::uint32_t block_bytes;     ///< bytes of one block
};

[[nodiscard]] const DTypeInfo& info(DType dtype);
[[nodiscard]] std::string_view name(DType dtype);

/// The dtype with this exact name, if there is one.
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name);

/// Bytes that `elements` elements take; elements must be a multiple of the block.
/// @throws Error where it is not, or where the product overflows 64 bits.
[[nodiscard]] std::uint64_t bytes_of(DType dtype, std::uint64_t elements);

}  // namespace initrt
