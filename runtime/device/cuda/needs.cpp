#include "runtime/device/cuda/needs.h"

#include <algorithm>

#include "runtime/device/cuda/coded_inputs.h"
#include "runtime/device/memory.h"
#include "runtime/device/ops.h"
#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt::cuda {
namespace {

constexpr const char* kWhat = "scratch memory";
constexpr std::uint64_t kAlignment = 256;

std::uint64_t row_bytes(std::uint64_t rows, std::uint64_t bytes_each) {
  const std::uint64_t bytes = checked_product(kWhat, {rows, bytes_each});
  return checked_sum(kWhat, {bytes, kAlignment - 1}) / kAlignment * kAlignment;
}

/// How products take their inputs, by the formats that weights are held in.
struct Forms {
  bool lane_order = false, bytes = false;
};

Forms forms_of(WeightFormats formats) {
  Forms forms;
  for (std::size_t i = 0; i < kWeightFormats; ++i) {
    const auto format = static_cast<WeightFormat>(i);
    if (!formats.has(format)) continue;
    switch (format) {
      case WeightFormat::Plain:
      case WeightFormat::Float32:
        break;
      case WeightFormat::Int8:
        forms.bytes = true;
        break;
      case WeightFormat::Nf4:
      case WeightFormat::Fp4:
      case WeightFormat::Nf4Dq:
      case WeightFormat::Fp4Dq:
      case WeightFormat::Q4_0:
      case WeightFormat::Q4_1:
      case WeightFormat::Q8_0:
      case WeightFormat::Q4_K:
      case WeightFormat::Q5_K:
      case WeightFormat::Q6_K:
        forms.lane_order = true;
        break;
    }
  }
  return forms;
}

/// Inputs of the largest product, in the largest of their forms.
std::uint64_t input_bytes(const ProductSizes& products) {
  const auto [dtype, rows, columns, formats] = products;
  const std::uint64_t padded = checked_sum(kWhat, {rows, kRowTile - 1}) / kRowTile * kRowTile;
  // 32-bit inputs are used where they are.
  const std::uint64_t element = info(dtype).block_bytes;
  std::uint64_t bytes =
      dtype == DType::F32 ? 0 : checked_product(kWhat, {padded, columns, element});
  const Forms forms = forms_of(formats);
  if (forms.lane_order) {
    constexpr std::uint64_t kSegment = kSegmentElements;
    const std::uint64_t whole = checked_sum(kWhat, {columns, kSegment - 1}) / kSegment * kSegment;
    bytes = std::max(bytes, checked_product(kWhat, {rows, whole, element}));
  }
  if (forms.bytes) {
    if (columns > kInt8Columns) {
      fail("cuda linear: int8 weights of {} columns, expected at most {}", columns, kInt8Columns);
    }
    bytes = std::max(bytes, checked_product(kWhat, {rows, byte_inputs_bytes(columns)}));
  }
  return bytes;
}

}  // namespace

Scratch divide_scratch(std::uint64_t rows) {
  Scratch scratch;
  scratch.kept = checked_sum(kWhat, {scratch.rows, row_bytes(rows, sizeof(RowInfo))});
  scratch.choices = checked_sum(kWhat, {scratch.kept, row_bytes(rows, sizeof(std::uint32_t))});
  scratch.workspace =
      checked_sum(kWhat, {scratch.choices, row_bytes(rows, kMaxChosen * sizeof(ExpertChoice))});
  scratch.inputs = checked_sum(kWhat, {scratch.workspace, kWorkspaceBytes});
  return scratch;
}

DeviceNeeds needs(const ProductSizes& products) {
  const auto [dtype, rows, columns, formats] = products;
  DeviceNeeds needs;
  needs.discrete_memory = true;
  needs.row_tile = kRowTile;
  needs.pinned_bytes = kWriteBytes;
  needs.upload_bytes = kUploadTableBytes;
  needs.scratch_bytes = checked_sum(kWhat, {divide_scratch(rows).inputs, input_bytes(products)});
  return needs;
}

}  // namespace initrt::cuda
