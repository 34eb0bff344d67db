// A small LLaMA's checkpoint in a directory that lasts as long as this.
#pragma once

#include <string>
#include <vector>

#include "tests/support/small_llama.h"
#include "tests/support/temporary_directory.h"

namespace initrt::testing {

struct SmallCheckpoint {
  SmallLlama model;
  std::vector<SmallTensor> tensors;
  TemporaryDirectory directory;
  std::vector<std::string> files;  ///< in the directory

  explicit SmallCheckpoint(const SmallLlama& shape = {}, DType dtype = DType::F32,
                           std::uint32_t file_count = 2)
      : model(shape),
        tensors(random_tensors(shape, 1)),
        files(write_safetensors(directory.path(), shape, tensors, dtype, file_count)) {}
};

inline SmallLlama tied_llama() {
  SmallLlama model;
  model.tied = true;
  return model;
}

}  // namespace initrt::testing
