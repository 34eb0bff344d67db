// What every catalog must hold, whatever file it was read from.
#pragma once

#include <string>

#include "sharding/checkpoint/catalog.h"

namespace initrt::testing {

/// What the catalog breaks of the invariants that Catalog promises; "" where it keeps them all.
/// @param files those that it was read from
inline std::string broken_invariant(const Catalog& catalog, Files& files) {
  for (const CheckpointFile& file : catalog.files) {
    const std::optional<FileInfo> found = files.stat(file.path);
    if (!found || found->bytes != file.bytes) return "the size of file " + file.path;
  }
  if (!catalog.config.is_null() && !catalog.config.is_object()) return "the config's type";
  const bool may_share = catalog.format != "safetensors" && catalog.format != "gguf";
  std::uint64_t end = 0;
  std::uint32_t file = 0;
  for (std::size_t i = 0; i < catalog.tensors.size(); ++i) {
    const TensorEntry& tensor = catalog.tensors[i];
    const std::string who = " of tensor " + std::to_string(i);
    std::uint64_t held = 0;
    for (const TensorPart& part : tensor.parts) {
      if (part.file >= catalog.files.size()) return "a file" + who;
      const std::uint64_t room = catalog.files[part.file].bytes;
      const std::uint64_t extent = tensor.extent_bytes(part);
      if (part.offset > room || extent > room - part.offset) return "a range" + who;
      std::uint64_t elements = 1;
      for (const std::uint64_t size : tensor.shape_of(part)) elements *= size;
      held += elements;
    }
    if (held != tensor.elements()) return "the parts" + who;
    const TensorPart& first = tensor.parts.front();
    if (first.file < file) return "the place" + who;
    if (first.file != file) end = 0;
    file = first.file;
    if (!may_share && tensor.bytes() > 0) {
      if (first.offset < end) return "the order" + who;
      end = first.offset + tensor.bytes();
    }
    if (catalog.find(tensor.name) != static_cast<std::int64_t>(i)) return "the name" + who;
  }
  return "";
}

}  // namespace initrt::testing
