#include "sharding/checkpoint/catalog.h"

#include <algorithm>
#include <tuple>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// Checks one tensor by itself: its bytes agree with dtype and shape and lie inside its file.
void check_tensor(const TensorEntry& tensor, const CheckpointFile& file) {
  const DTypeInfo& type = info(tensor.dtype);
  const std::string who = fmt::format("{}: tensor {}", file.path, quote(tensor.name));
  const std::uint64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % type.block_elements != 0) {
    fail("{}: rows of {} elements are not a whole number of {} blocks of {}", who, row, type.name,
         type.block_elements);
  }
  std::uint64_t expected = 0;
  try {
    expected = bytes_of(tensor.dtype, tensor.elements());
  } catch (const Error& error) {
    fail("{}: {}", who, error.what());
  }
  if (tensor.bytes != expected) {
    fail("{}: {} bytes, but {} [{}] takes {}", who, tensor.bytes, type.name,
         fmt::join(tensor.shape, ", "), expected);
  }
  if (tensor.offset > file.bytes || tensor.bytes > file.bytes - tensor.offset) {
    fail("{}: the file is truncated: {} bytes at byte {} are needed, but the file has {} bytes",
         who, tensor.bytes, tensor.offset, file.bytes);
  }
}

}  // namespace

std::uint64_t TensorEntry::elements() const {
  std::uint64_t product = 1;
  bool overflow = false;
  for (const std::uint64_t extent : shape) {
    if (extent == 0) return 0;
    overflow = overflow || __builtin_mul_overflow(product, extent, &product);
  }
  if (overflow) fail("shape [{}] has more elements than 64 bits count", fmt::join(shape, ", "));
  return product;
}

std::int64_t Catalog::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? -1 : static_cast<std::int64_t>(found->second);
}

void Catalog::finish() {
  // Empty tensors sort before the one whose bytes begin at the same place: they overlap nothing.
  std::sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.file, a.offset, a.bytes) < std::tie(b.file, b.offset, b.bytes);
  });
  index_.clear();
  index_.reserve(tensors.size());
  const TensorEntry* previous = nullptr;  // the last tensor with any bytes
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorEntry& tensor = tensors[i];
    const CheckpointFile& file = files.at(tensor.file);
    check_tensor(tensor, file);
    if (tensor.bytes > 0) {
      if (previous != nullptr && previous->file == tensor.file &&
          previous->offset + previous->bytes > tensor.offset) {
        fail("{}: tensor {} at byte {} overlaps tensor {}, which ends at byte {}", file.path,
             quote(tensor.name), tensor.offset, quote(previous->name),
             previous->offset + previous->bytes);
      }
      previous = &tensor;
    }
    const auto [other, fresh] = index_.emplace(tensor.name, static_cast<std::uint32_t>(i));
    if (!fresh) {
      fail("{}: tensor {} appears twice, the first time in {}", file.path, quote(tensor.name),
           files.at(tensors[other->second].file).path);
    }
  }
}

}  // namespace initrt
