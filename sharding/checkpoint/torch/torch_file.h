// PyTorch's own files, as torch.save writes them: a pickle that says which tensor is which strided
// view of which storage, and the storages' bytes. The pickle is read, never run, and no storage is.
// Sources: torch/serialization.py and torch/_utils.py (the calls that rebuild a tensor).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sharding/checkpoint/files.h"
#include "sharding/dtype.h"

namespace initrt {

/// A tensor as a PyTorch file holds it: a strided view of one storage, all of which lies in the
/// file. Views may share a storage and overlap.
struct TorchTensor {
  std::string name;  ///< keys of nested dictionaries joined by '.'
  DType dtype = DType::F32;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> strides;  ///< elements, one per dimension, as saved
  std::uint64_t offset = 0;            ///< bytes from the start of the file to element [0, ...]
};

struct TorchFile {
  std::vector<TorchTensor> tensors;  ///< in the order of the dictionary
  std::uint64_t file_bytes = 0;
};

/// Whether the file begins like a state dict: a zip archive whose first member is its pickle or one
/// of its storages, or the magic number of what PyTorch wrote before version 1.6.
[[nodiscard]] bool looks_like_torch(Files& files, const std::string& path);

/// A state dict: a dictionary of tensors. Dictionaries, lists and tuples in it are walked (the
/// index is the key); values that are not tensors (numbers, strings, None, ...) are skipped.
/// @throws Error naming the path, the tensor and the byte for anything that is not such a file,
/// among it any global that tensors do not need, and TorchScript.
[[nodiscard]] TorchFile read_torch_file(Files& files, const std::string& path);

/// The one tensor in the archive at [offset, offset + bytes) of a file: how PyTorch Distributed
/// Checkpoint stores each chunk of a tensor. Two small reads. Its name is empty.
[[nodiscard]] TorchTensor read_torch_item(Files& files, const std::string& path,
                                          std::uint64_t offset, std::uint64_t bytes);

}  // namespace initrt
