// A small LLaMA of random weights, written as checkpoints: several safetensors files, or a GGUF.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sharding/dtype.h"

namespace initrt::testing {

/// The defaults make a vocabulary of three head tiles, rows that few world sizes divide, and heads
/// that are not hidden / heads wide.
struct SmallLlama {
  std::uint32_t hidden = 52, intermediate = 36, layers = 3;
  std::uint32_t heads = 4, kv_heads = 2, head_size = 10;
  std::uint32_t vocabulary = 509, context = 64;
  bool tied = false;
  double theta = 500.0, epsilon = 1e-5;
};

struct SmallTensor {
  std::string name;  ///< as Hugging Face has it
  std::uint64_t rows = 0, columns = 1;
  bool vector = false;
  std::uint32_t rotary_heads = 0;  ///< > 0: of rotary position embeddings, halves split
  std::vector<float> values;       ///< [rows, columns]
};

/// All of a model's tensors, with random values that depend on `seed` alone.
[[nodiscard]] std::vector<SmallTensor> random_tensors(const SmallLlama& model, std::uint64_t seed);

/// config.json in Hugging Face's keys.
[[nodiscard]] nlohmann::json config_of(const SmallLlama& model);

/// Writes config.json, `files` safetensors files of about the same number of tensors, and their
/// index into `directory`. @param dtype F32, or BF16 (values are rounded to the nearest)
/// @returns the files' names
std::vector<std::string> write_safetensors(const std::string& directory, const SmallLlama& model,
                                           const std::vector<SmallTensor>& tensors, DType dtype,
                                           std::uint32_t files);

/// Writes the same as a GGUF file of F32 tensors: other names, rotary halves interleaved.
/// @param dtype what matrices are in. Other than F32 they are random blocks, not these tensors'
///        values, though of about their size
void write_gguf(const std::string& path, const SmallLlama& model,
                const std::vector<SmallTensor>& tensors, DType dtype = DType::F32);

/// The tensor with this name, which must be there.
[[nodiscard]] const SmallTensor& tensor_named(const std::vector<SmallTensor>& tensors,
                                              std::string_view name);

}  // namespace initrt::testing
