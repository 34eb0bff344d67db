#include "sharding/checkpoint/catalog.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/parts.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// For errors: made only for one, as a checkpoint may have a hundred thousand tensors.
std::string who_is(const TensorEntry& tensor, const CheckpointFile& file) {
  return fmt::format("{}: tensor {}", file.path, quote(tensor.name));
}

/// Checks one part by itself: a box of its tensor that lies inside its file.
void check_part(const TensorEntry& tensor, const TensorPart& part, const CheckpointFile& file) {
  const auto who = [&] { return who_is(tensor, file); };
  const std::size_t rank = tensor.shape.size();
  const std::span<const std::uint64_t> shape = tensor.shape_of(part);
  if (part.begin.size() != part.shape.size() || shape.size() != rank ||
      (!part.strides.empty() && part.strides.size() != rank)) {
    fail("{}: a part of it does not have its {} dimensions", who(), rank);
  }
  for (std::size_t d = 0; d < part.begin.size(); ++d) {
    if (part.begin[d] > tensor.shape[d] || part.shape[d] > tensor.shape[d] - part.begin[d]) {
      fail("{}: the part {} at {} lies outside of its shape {}", who(), shape_text(part.shape),
           shape_text(part.begin), shape_text(tensor.shape));
    }
  }
  const bool plain = info(tensor.dtype).block_elements == 1;
  if (!plain && !(part.shape.empty() && part.strides.empty())) {
    fail("{}: {} blocks cannot be cut into parts", who(), name(tensor.dtype));
  }
  std::uint64_t extent = 0;
  try {
    extent = tensor.extent_bytes(part);
  } catch (const Error& error) {
    fail("{}: {}", who(), error.what());
  }
  if (part.offset > file.bytes || extent > file.bytes - part.offset) {
    fail("{}: the file is truncated: {} bytes at byte {} are needed, but the file has {} bytes",
         who(), extent, part.offset, file.bytes);
  }
  if (extent == 0) return;
  // A view may repeat elements (strides of 0), but not without end.
  std::uint64_t elements = 1;
  for (const std::uint64_t size : shape) {
    if (__builtin_mul_overflow(elements, size, &elements)) {
      fail("{} takes 2^64 bytes or more", who());
    }
  }
  if (bytes_of(tensor.dtype, elements) > file.bytes) {
    fail("{}: a view of {} elements that repeats those of a file of {} bytes", who(), elements,
         file.bytes);
  }
}

constexpr std::size_t kMaxNameBytes = 4096;

/// Checks one tensor by itself. @returns its bytes
std::uint64_t check_tensor(const TensorEntry& tensor, const std::vector<CheckpointFile>& files) {
  const DTypeInfo& type = info(tensor.dtype);
  if (tensor.parts.empty()) fail("tensor {} is stored nowhere", quote(tensor.name));
  const CheckpointFile& file = files.at(tensor.parts.front().file);
  if (tensor.name.size() > kMaxNameBytes) {
    fail("{}: a tensor's name has {} bytes, more than the {} that one may have: {}...", file.path,
         tensor.name.size(), kMaxNameBytes, quote(std::string_view(tensor.name).substr(0, 64)));
  }
  const std::uint64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % type.block_elements != 0) {
    fail("{}: rows of {} elements are not a whole number of {} blocks of {}", who_is(tensor, file),
         row, type.name, type.block_elements);
  }
  std::uint64_t bytes = 0;
  try {
    bytes = tensor.bytes();
  } catch (const Error& error) {
    fail("{}: {}", who_is(tensor, file), error.what());
  }
  for (const TensorPart& part : tensor.parts) check_part(tensor, part, files.at(part.file));
  if (tensor.is_cut()) check_parts_cover(tensor, who_is(tensor, file));
  return bytes;
}

}  // namespace

std::string shape_text(std::span<const std::uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

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

std::uint64_t TensorEntry::extent_bytes(const TensorPart& part) const {
  const std::span<const std::uint64_t> extents = shape_of(part);
  if (std::find(extents.begin(), extents.end(), 0u) != extents.end()) return 0;
  std::uint64_t elements = 1;
  for (std::size_t d = 0; d < extents.size(); ++d) {
    elements =
        part.strides.empty()
            ? checked_product("the tensor", {elements, extents[d]})
            : checked_sum(
                  "the tensor",
                  {elements, checked_product("the tensor", {extents[d] - 1, part.strides[d]})});
  }
  return bytes_of(dtype, elements);
}

std::int64_t Catalog::find(std::string_view name) const {
  return index_.find(name, [this](std::uint32_t i) -> std::string_view { return tensors[i].name; });
}

std::string describe_absent(const Catalog& catalog) {
  const auto first_of = [](const auto& all, std::uint64_t count, const auto& text) {
    std::string names;
    std::size_t shown = 0;
    for (const auto& one : all) {
      if (++shown > 3) return fmt::format("{} and {} more", names, count - 3);
      names += (shown == 1 ? "" : ", ") + text(one);
    }
    return shown < count ? fmt::format("{} and {} more", names, count - shown) : names;
  };
  const std::vector<std::string>& names = catalog.absent_files;
  const std::uint64_t files = names.size() + catalog.more_absent_files;
  const std::map<std::string, std::string>& tensors = catalog.absent_tensors;
  std::string text;
  if (!names.empty()) {
    text = fmt::format("{} file{} missing: {}", files, files == 1 ? " is" : "s are",
                       first_of(names, files, [](const std::string& name) { return quote(name); }));
  }
  if (!tensors.empty()) {
    text += fmt::format("{}the index names {} tensor{} that no file holds: {}",
                        text.empty() ? "" : "; ", tensors.size(), tensors.size() == 1 ? "" : "s",
                        first_of(tensors, tensors.size(), [](const auto& placed) {
                          return fmt::format("{} in {}", quote(placed.first), quote(placed.second));
                        }));
  }
  return text.empty() ? "" : fmt::format("{}: {}", catalog.path, text);
}

void Catalog::finish(SharedBytes shared) {
  struct Place {
    std::uint32_t file;
    std::uint64_t offset, bytes;
    std::size_t tensor;
    auto operator<=>(const Place&) const = default;
  };
  // Empty tensors sort before the one whose bytes begin at the same place: they overlap nothing.
  std::vector<Place> places;
  places.reserve(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes = check_tensor(tensors[i], files);
    const TensorPart& first = tensors[i].parts.front();
    places.push_back({first.file, first.offset, bytes, i});
  }
  std::sort(places.begin(), places.end());
  std::vector<TensorEntry> sorted;
  sorted.reserve(places.size());
  for (const Place& place : places) sorted.push_back(std::move(tensors[place.tensor]));
  tensors = std::move(sorted);

  index_ = NameIndex(tensors.size());
  const auto name_of = [this](std::uint32_t i) -> std::string_view { return tensors[i].name; };
  std::size_t previous = tensors.size();  // the last tensor with any bytes
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorEntry& tensor = tensors[i];
    const Place& place = places[i];
    const std::string& where = files[place.file].path;
    if (place.bytes > 0) {
      const Place* before = previous < i ? &places[previous] : nullptr;
      if (shared == SharedBytes::Refused && before != nullptr && before->file == place.file &&
          before->offset + before->bytes > place.offset) {
        fail("{}: tensor {} at byte {} overlaps tensor {}, which ends at byte {}", where,
             quote(tensor.name), place.offset, quote(tensors[previous].name),
             before->offset + before->bytes);
      }
      previous = i;
    }
    const std::uint32_t first = index_.insert(tensor.name, static_cast<std::uint32_t>(i), name_of);
    if (first != i) {
      fail("{}: tensor {} appears twice, the first time in {}", where, quote(tensor.name),
           files[places[first].file].path);
    }
  }
}

}  // namespace initrt
