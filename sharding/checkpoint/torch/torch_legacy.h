// What torch.save wrote before PyTorch 1.6, and still writes on request: five pickles (a magic
// number, the protocol, facts about the machine, the object, the keys of the storages), then for
// each key its number of elements and its bytes. Source: torch/serialization.py, _legacy_save.
#pragma once

#include <string>
#include <vector>

#include "sharding/checkpoint/torch/torch_file.h"

namespace initrt {

/// Whether the file begins with a pickle of the magic number.
[[nodiscard]] bool looks_like_torch_legacy(Files& files, const std::string& path);

/// The tensors of the state dict in such a file. @throws Error as read_torch_file().
[[nodiscard]] std::vector<TorchTensor> read_torch_legacy(Files& files, const std::string& path);

}  // namespace initrt
