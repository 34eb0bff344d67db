#include "sharding/dtype.h"

#include <array>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::array<DTypeInfo, 34> kTypes = {{
    {DType::F64, "F64", 1, 8},
    {DType::F32, "F32", 1, 4},
    {DType::F16, "F16", 1, 2},
    {DType::BF16, "BF16", 1, 2},
    {DType::F8_E4M3, "F8_E4M3", 1, 1},
    {DType::F8_E5M2, "F8_E5M2", 1, 1},
    {DType::F8_E4M3FNUZ, "F8_E4M3FNUZ", 1, 1},
    {DType::F8_E5M2FNUZ, "F8_E5M2FNUZ", 1, 1},
    {DType::F8_E8M0, "F8_E8M0", 1, 1},
    {DType::F6_E2M3, "F6_E2M3", 4, 3},
    {DType::F6_E3M2, "F6_E3M2", 4, 3},
    {DType::F4, "F4", 2, 1},
    {DType::C64, "C64", 1, 8},
    {DType::I64, "I64", 1, 8},
    {DType::U64, "U64", 1, 8},
    {DType::I32, "I32", 1, 4},
    {DType::U32, "U32", 1, 4},
    {DType::I16, "I16", 1, 2},
    {DType::U16, "U16", 1, 2},
    {DType::I8, "I8", 1, 1},
    {DType::U8, "U8", 1, 1},
    {DType::BOOL, "BOOL", 1, 1},
    {DType::Q4_0, "Q4_0", 32, 18},
    {DType::Q4_1, "Q4_1", 32, 20},
    {DType::Q5_0, "Q5_0", 32, 22},
    {DType::Q5_1, "Q5_1", 32, 24},
    {DType::Q8_0, "Q8_0", 32, 34},
    {DType::Q2_K, "Q2_K", 256, 84},
    {DType::Q3_K, "Q3_K", 256, 110},
    {DType::Q4_K, "Q4_K", 256, 144},
    {DType::Q5_K, "Q5_K", 256, 176},
    {DType::Q6_K, "Q6_K", 256, 210},
    {DType::IQ4_NL, "IQ4_NL", 32, 18},
    {DType::MXFP4, "MXFP4", 32, 17},
}};

}  // namespace

const DTypeInfo& info(DType dtype) { return kTypes.at(static_cast<std::size_t>(dtype)); }

std::string_view name(DType dtype) { return info(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view wanted) {
  for (const DTypeInfo& type : kTypes) {
    if (type.name == wanted) return type.dtype;
  }
  return std::nullopt;
}

std::uint64_t bytes_of(DType dtype, std::uint64_t elements) {
  const DTypeInfo& type = info(dtype);
  if (elements % type.block_elements != 0) {
    fail("{} elements are not a whole number of {} blocks of {}", elements, type.name,
         type.block_elements);
  }
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements / type.block_elements, type.block_bytes, &bytes)) {
    fail("the size of {} elements of {} overflows", elements, type.name);
  }
  return bytes;
}

}  // namespace initrt
