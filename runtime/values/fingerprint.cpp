#include "runtime/values/fingerprint.h"

#include <algorithm>
#include <span>
#include <vector>

#include "runtime/storage/local_files.h"
#include "runtime/values/hash.h"

namespace initrt {
namespace {

constexpr std::size_t kTensors = 128;   // that are looked into
constexpr std::uint64_t kBytes = 4096;  // of each

template <class Number>
void add(Hasher& hasher, const Number& number) {
  hasher.add(std::as_bytes(std::span(&number, 1)));
}

// Files hold tensors in any order.
std::vector<const TensorEntry*> by_name(const Catalog& catalog) {
  std::vector<const TensorEntry*> tensors;
  tensors.reserve(catalog.tensors.size());
  for (const TensorEntry& tensor : catalog.tensors) tensors.push_back(&tensor);
  std::ranges::sort(tensors, {}, &TensorEntry::name);
  return tensors;
}

// From the middle of the first part.
void add_sample(Hasher& hasher, LocalFiles& files, const Catalog& catalog,
                const TensorEntry& tensor) {
  if (tensor.parts.empty()) return;
  const TensorPart& part = tensor.parts.front();
  const std::uint64_t extent = tensor.extent_bytes(part), bytes = std::min(extent, kBytes);
  hasher.add(files.read(catalog.files[part.file].path, part.offset + (extent - bytes) / 2, bytes));
}

}  // namespace

std::string fingerprint(Files& files, const Catalog& catalog) {
  return files.ask("fingerprint of " + catalog.path, [&] {
    const std::vector<const TensorEntry*> tensors = by_name(catalog);
    Hasher hasher;
    for (const TensorEntry* tensor : tensors) {
      hasher.add(std::as_bytes(std::span(tensor->name)));
      add(hasher, tensor->dtype);
      add(hasher, tensor->shape.size());
      for (const std::uint64_t extent : tensor->shape) add(hasher, extent);
    }
    LocalFiles local;
    const std::size_t samples = std::min(tensors.size(), kTensors);
    for (std::size_t i = 0; i < samples; ++i) {
      add_sample(hasher, local, catalog, *tensors[i * tensors.size() / samples]);
    }
    return hash_text(hasher.value());
  });
}

}  // namespace initrt
