#include "sharding/checkpoint/names/quant_method.h"

#include <algorithm>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_tensors.h"
#include "sharding/error.h"

namespace initrt {
namespace {

bool contains(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

const Companion* find(std::span<const Companion> companions, std::string_view word) {
  const auto found =
      std::find_if(companions.begin(), companions.end(),
                   [&](const Companion& companion) { return contains(companion.leaf, word); });
  return found == companions.end() ? nullptr : &*found;
}

// What only one program writes.
struct Sign {
  std::string_view word, method;
};
constexpr Sign kSigns[] = {
    {"SCB", "bitsandbytes int8"},
    {"quant_state", "bitsandbytes 4-bit"},
    {"absmax", "bitsandbytes 4-bit"},
    {"quant_map", "bitsandbytes 4-bit"},
    {"weight_packed", "compressed-tensors"},
    {"weight_global_scale", "compressed-tensors"},
    {"weight_zero_point", "compressed-tensors"},
    {"weight_g_idx", "compressed-tensors"},
    {"weight_shape", "compressed-tensors"},
    {"weight_scale_2", "ModelOpt NVFP4"},
    {"_quantizer", "ModelOpt"},
    {"_blocks", "MXFP4"},
    {"W_q", "HQQ"},
    {"codebooks", "AQLM"},
    {"_packed_params", "PyTorch int8"},
    {"weight._data", "quanto"},
    {"qdata", "torchao"},
};

// Both have qweight, qzeros and scales. AWQ packs along what scales have in their columns.
std::string_view gptq_or_awq(std::span<const Companion> companions) {
  if (find(companions, "g_idx") != nullptr) return "GPTQ";
  const Companion* const weight = find(companions, "qweight");
  const Companion* const scales = find(companions, "scales");
  if (weight == nullptr || scales == nullptr) return "GPTQ or AWQ";
  const auto &packed = weight->tensor->shape, &columns = scales->tensor->shape;
  if (packed.size() != 2 || columns.size() != 2) return "GPTQ or AWQ";
  return packed[1] == columns[1] ? "GPTQ" : "AWQ";
}

bool is_float8(DType dtype) { return dtype >= DType::F8_E4M3 && dtype <= DType::F8_E8M0; }

// What scales are beside, where nothing else tells the method.
std::string_view scaled(DType dtype, std::span<const Companion> companions) {
  if (is_float8(dtype)) return "fp8 with scales";
  switch (dtype) {
    case kMlxWord:
      return "MLX";
    case DType::I8:
      return "int8 with scales";
    case DType::U8:
    case DType::F4: {
      const DType scale = companions.front().tensor->dtype;
      const bool powers = scale == DType::U8 || scale == DType::F8_E8M0;
      return powers ? "MXFP4" : "4-bit floats with scales";
    }
    default:
      return "weights with scales";
  }
}

}  // namespace

bool changes_weights(std::string_view leaf) {
  constexpr std::string_view kWhole[] = {"SCB", "W_q", "biases", "codes", "lut", "g_idx"};
  constexpr std::string_view kWords[] = {"scale", "zero",  "quant",    "absmax", "amax",
                                         "pack",  "qdata", "codebook", "lora",   "qweight"};
  // Of KV caches, and what Gemma multiplies embeddings with.
  constexpr std::string_view kOthers[] = {"k_scale",      "v_scale",      "q_scale",    "kv_scale",
                                          "k_zero_point", "v_zero_point", "embed_scale"};
  const std::string_view first = leaf.substr(0, leaf.find('.'));
  const auto is_first = [&](std::string_view name) { return name == first; };
  if (std::any_of(std::begin(kOthers), std::end(kOthers), is_first)) return false;
  return std::any_of(std::begin(kWhole), std::end(kWhole), is_first) ||
         std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return contains(first, word); });
}

bool scales_activations(std::string_view leaf) {
  return leaf == ".scales" || leaf == ".scale" || contains(leaf, "smooth");
}

bool is_lora(std::span<const Companion> companions) {
  return std::any_of(companions.begin(), companions.end(),
                     [](const Companion& companion) { return is_of_lora(companion.leaf); });
}

std::string quantization_method(const TensorEntry* weight, std::span<const Companion> companions,
                                std::string_view said) {
  const std::string config = said.empty() ? "" : fmt::format(" (the config says {})", quote(said));
  for (const auto& [word, method] : kSigns) {
    if (find(companions, word) != nullptr) return std::string(method) + config;
  }
  if (find(companions, "qweight") != nullptr || find(companions, "qzeros") != nullptr) {
    return std::string(gptq_or_awq(companions)) + config;
  }
  if (find(companions, "biases") != nullptr) return "MLX" + config;
  if (find(companions, "scale") != nullptr && weight != nullptr) {
    return std::string(scaled(weight->dtype, companions)) + config;
  }
  return said.empty() ? "" : "quantization" + config;
}

}  // namespace initrt
