// From PyTorch's views of storages to a catalog's parts: what the formats made of such files share.
#pragma once

#include <string>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/torch/torch_file.h"

namespace initrt {

/// The whole of a tensor as one part in file `file`.
[[nodiscard]] TensorPart part_of(const TorchTensor& tensor, std::uint32_t file);

/// Adds the file at `path` and those of its tensors that `wanted(name)` lets in.
template <class Wanted>
void add_torch_file(Files& files, Catalog& catalog, const std::string& path, const Wanted& wanted) {
  TorchFile torch = read_torch_file(files, path);
  const auto file = static_cast<std::uint32_t>(catalog.files.size());
  catalog.files.push_back({path, torch.file_bytes});
  for (TorchTensor& tensor : torch.tensors) {
    if (!wanted(tensor.name)) continue;
    TensorPart part = part_of(tensor, file);
    catalog.tensors.push_back(
        {std::move(tensor.name), tensor.dtype, std::move(tensor.shape), {std::move(part)}});
  }
}

}  // namespace initrt
