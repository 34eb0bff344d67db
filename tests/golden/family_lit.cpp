#include "tests/golden/family_lit.h"

#include "tests/golden/family_checkpoint.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"
#include "tests/support/process.h"
#include "tests/support/safetensors_writer.h"

namespace initrt::testing {

void write_family_lit(const std::string& family, const std::string& directory) {
  PyItems items;
  std::vector<std::string> storages;
  for (const auto& [name, tensor] : family_tensors(family + "/tensors.json")) {
    const std::string key = std::to_string(storages.size());
    PyTensor stored{
        .storage = py_storage("FloatStorage", key, static_cast<std::int64_t>(tensor.values.size())),
        .shape = {tensor.shape.begin(), tensor.shape.end()},
        .strides = std::vector<std::int64_t>(tensor.shape.size(), 1)};
    for (std::size_t i = tensor.shape.size() - 1; i > 0; --i) {
      stored.strides[i - 1] = stored.strides[i] * stored.shape[i];
    }
    items.emplace_back(py_string(name), stored.call());
    storages.push_back(bytes_of_values(tensor.values, DType::F32));
  }
  write_file(directory + "/lit_model.pth", torch_archive(pickle(py_dict(items)), storages).file());
  write_file(directory + "/model_config.yaml", contents(family + "/model_config.yaml"));
}

}  // namespace initrt::testing
