// From the values of a state dict's pickle to tensors: which calls rebuild one, from which storage.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sharding/checkpoint/torch/pickle.h"
#include "sharding/checkpoint/torch/torch_file.h"

namespace initrt {

/// A storage that a pickle refers to by its key.
struct TorchStorage {
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  ///< from the start of the file: filled in by who knows the file
};
/// By key; a key that is a number is its digits.
using TorchStorages = std::unordered_map<std::string, TorchStorage>;

/// All storages that a pickle refers to.
/// @throws Error for a persistent id that is no storage's, or where two disagree on its size.
[[nodiscard]] TorchStorages find_storages(const Pickle& pickle);

/// Whether `ref` is a call that rebuilds a tensor.
[[nodiscard]] bool is_tensor(const Pickle& pickle, PickleRef ref);

/// The tensor that `ref` rebuilds. @throws Error naming `name` where it is none or leaves its
/// storage.
[[nodiscard]] TorchTensor tensor_of(const Pickle& pickle, PickleRef ref, std::string name,
                                    const TorchStorages& storages);

/// The tensors of the state dict that the pickle is, named as TorchFile says.
[[nodiscard]] std::vector<TorchTensor> state_dict_of(const Pickle& pickle,
                                                     const TorchStorages& storages);

}  // namespace initrt
