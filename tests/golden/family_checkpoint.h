// The checkpoints of tests/golden/families/: their weights are not stored, but a rule that
// make_family_references.py and this share.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace initrt::testing {

/// `count` values of [-1, 1) that depend on the name alone: the top 24 bits of
/// splitmix64(FNV-1a-64(name) + i).
[[nodiscard]] std::vector<float> uniform_values(std::string_view name, std::uint64_t count);

/// The cases in a folder, each a folder of its own, sorted.
[[nodiscard]] std::vector<std::string> family_cases(const std::string& folder);

struct FamilyTensor {
  std::vector<std::uint64_t> shape;
  std::vector<float> values;  ///< row-major
};

/// The tensors of a file like a case's tensors.json.
[[nodiscard]] std::map<std::string, FamilyTensor> family_tensors(const std::string& path);

/// Writes a case's checkpoint, config.json and model.safetensors in float32, into `directory`.
/// @param family the folder with the case's config.json and tensors.json
void write_family_checkpoint(const std::string& family, const std::string& directory);

}  // namespace initrt::testing
