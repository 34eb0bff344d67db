// The GGUF files of tests/golden/families/: made of the same values as the cases' other
// checkpoints, as make_family_gguf.py found llama.cpp's converter to make them.
#pragma once

#include <string>

namespace initrt::testing {

/// Writes a case's GGUF file, all tensors of float32.
/// @param family the folder with the case's tensors.json
/// @param recipe gguf.json or gguf_fused.json, which it has too
void write_family_gguf(const std::string& family, const std::string& recipe,
                       const std::string& path);

}  // namespace initrt::testing
