// What a checkpoint of a quantized model would hold, where only its config is there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sharding/checkpoint/quantized/quant_config.h"
#include "sharding/dtype.h"

namespace initrt {

/// A tensor as a checkpoint stores it.
struct StoredTensor {
  std::string name;
  DType dtype = DType::BF16;
  std::vector<std::uint64_t> shape;
};

/// Whether stored_form() knows the config's method: FP8 with a scale for each block of rows and
/// columns (DeepSeek's) and MXFP4 (gpt-oss's).
[[nodiscard]] bool is_stored_form_known(const QuantConfig& config);

/// The tensors that one of a model is stored as: itself, or the codes and scales of a matrix of the
/// blocks that the config does not leave out. Of methods that are not known it is itself.
[[nodiscard]] std::vector<StoredTensor> stored_form(const QuantConfig& config, StoredTensor tensor);

}  // namespace initrt
