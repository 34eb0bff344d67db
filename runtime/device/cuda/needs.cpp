#include "runtime/device/cuda/needs.h"

#include "runtime/device/memory.h"
#include "runtime/device/ops.h"
#include "sharding/checked.h"

namespace initrt::cuda {
namespace {

constexpr const char* kWhat = "scratch memory";
constexpr std::uint64_t kAlignment = 256;

std::uint64_t row_bytes(std::uint64_t rows, std::uint64_t bytes_each) {
  const std::uint64_t bytes = checked_product(kWhat, {rows, bytes_each});
  return checked_sum(kWhat, {bytes, kAlignment - 1}) / kAlignment * kAlignment;
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
  if (formats.quantized()) {
    fail(
        "quantized weights are not computed with on GPUs yet: leave out quantize, or set "
        "device=cpu");
  }
  DeviceNeeds needs;
  needs.discrete_memory = true;
  needs.row_tile = kRowTile;
  needs.pinned_bytes = kWriteBytes;
  needs.upload_bytes = kUploadTableBytes;
  // 32-bit inputs are used where they are.
  const std::uint64_t input_bytes = dtype == DType::F32 ? 0 : info(dtype).block_bytes;
  const std::uint64_t padded = checked_sum(kWhat, {rows, kRowTile - 1}) / kRowTile * kRowTile;
  needs.scratch_bytes = checked_sum(
      kWhat, {divide_scratch(rows).inputs, checked_product(kWhat, {padded, columns, input_bytes})});
  return needs;
}

}  // namespace initrt::cuda
