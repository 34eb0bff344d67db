#include "tests/golden/family_checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/support/process.h"
#include "tests/support/safetensors_writer.h"

namespace initrt::testing {
namespace {

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::uint64_t splitmix64(std::uint64_t state) {
  std::uint64_t z = state + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::vector<float> uniform_values(std::string_view name, std::uint64_t count) {
  const std::uint64_t hash = fnv1a(name);
  std::vector<float> values(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(splitmix64(hash + i) >> 40) / 8388608.0f - 1.0f;
  }
  return values;
}

std::vector<std::string> family_cases(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, FamilyTensor> family_tensors(const std::string& path) {
  std::map<std::string, FamilyTensor> tensors;
  const auto described = nlohmann::json::parse(contents(path));
  for (const auto& [name, about] : described.items()) {
    const auto shape = about.at("shape").get<std::vector<std::uint64_t>>();
    const auto scale = about.at("scale").get<float>(), offset = about.at("offset").get<float>();
    std::vector<float> values = uniform_values(
        about.value("values_of", name),
        std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>()));
    for (float& value : values) value = offset + scale * value;
    tensors[name] = {shape, std::move(values)};
  }
  return tensors;
}

void write_family_checkpoint(const std::string& family, const std::string& directory) {
  SafetensorsWriter writer;
  for (const auto& [name, tensor] : family_tensors(family + "/tensors.json")) {
    writer.add(name, DType::F32, tensor.shape, tensor.values);
  }
  writer.write(directory + "/model.safetensors");
  write_file(directory + "/config.json", contents(family + "/config.json"));
}

}  // namespace initrt::testing
