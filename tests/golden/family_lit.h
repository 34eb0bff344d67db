// The checkpoints of tests/golden/lit_families/, as LitGPT keeps them.
#pragma once

#include <string>

namespace initrt::testing {

/// Writes a case's lit_model.pth and model_config.yaml into `directory`.
/// @param family the folder with the case's model_config.yaml and tensors.json
void write_family_lit(const std::string& family, const std::string& directory);

}  // namespace initrt::testing
