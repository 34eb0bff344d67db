// From PyTorch's views of storages to a catalog's parts: what the formats made of such files share.
#pragma once

#include <string>

#include "sharding/checkpoint/file_set_reader.h"
#include "sharding/checkpoint/torch/torch_file.h"

namespace initrt {

/// The whole of a tensor as one part in file `file`.
[[nodiscard]] TensorPart part_of(const TorchTensor& tensor, std::uint32_t file);

/// The header of the file at `path`, which torch.save wrote.
[[nodiscard]] FileHeader read_torch_header(Files& files, const std::string& path);

}  // namespace initrt
