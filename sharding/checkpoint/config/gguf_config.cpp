#include "sharding/checkpoint/config/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/llama_config.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

/// Typed access to metadata; every error names the key.
class Metadata {
 public:
  explicit Metadata(const Json& values) : values_(values) {}

  [[nodiscard]] const Json* find(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &*found;
  }

  [[nodiscard]] std::optional<std::uint64_t> count(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_number_integer() || *value < 0) {
      fail("GGUF metadata key {} is not a number from 0 on", quote(key));
    }
    return value->get<std::uint64_t>();
  }

  [[nodiscard]] std::uint64_t need_count(const std::string& key) const {
    const auto value = count(key);
    if (!value || *value == 0) fail("GGUF metadata key {} is missing or 0", quote(key));
    return *value;
  }

  /// A float32 as the shortest decimal that gives it back: 1e-05, not 9.999999747378752e-06.
  [[nodiscard]] std::optional<double> real(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_number()) fail("GGUF metadata key {} is not a number", quote(key));
    const double exact = value->get<double>();
    if (!std::isfinite(exact) || exact <= 0) {
      fail("GGUF metadata key {} is not a positive number", quote(key));
    }
    const auto single = static_cast<float>(exact);
    if (static_cast<double>(single) != exact) return exact;
    return std::strtod(fmt::format("{}", single).c_str(), nullptr);
  }

  [[nodiscard]] std::optional<std::string> text(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail("GGUF metadata key {} is not a string", quote(key));
    return value->get<std::string>();
  }

 private:
  const Json& values_;
};

const TensorEntry* tensor_named(std::span<const TensorEntry> tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const TensorEntry& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

std::uint64_t vocabulary(const Metadata& metadata, std::span<const TensorEntry> tensors) {
  const TensorEntry* table = tensor_named(tensors, "token_embd.weight");
  if (table != nullptr && table->shape.size() == 2) return table->shape[0];
  const Json* tokens = metadata.find("tokenizer.ggml.tokens");
  if (tokens != nullptr && tokens->is_array()) return tokens->size();
  return metadata.need_count("llama.vocab_size");
}

/// Hugging Face's rope_scaling for what the metadata says, null for none.
Json rope_scaling(const Metadata& metadata, std::span<const TensorEntry> tensors) {
  // Llama 3.1's scaling is in this tensor's values, not in any key. The family that builds the
  // graph does not know the type without its factors and says so.
  if (tensor_named(tensors, "rope_freqs.weight") != nullptr) return {{"rope_type", "llama3"}};
  const auto old_factor = metadata.real("llama.rope.scale_linear");
  const std::string type = metadata.text("llama.rope.scaling.type")
                               .value_or(old_factor && *old_factor != 1.0 ? "linear" : "none");
  if (type == "none") return nullptr;
  auto factor = metadata.real("llama.rope.scaling.factor");
  if (!factor) factor = old_factor;
  if (!factor) fail("GGUF metadata key \"llama.rope.scaling.factor\" is missing");
  Json scaling = {{"rope_type", type}, {"factor", *factor}};
  if (type != "linear" && type != "yarn") {
    fail("GGUF metadata key \"llama.rope.scaling.type\" is {}: expected none, linear or yarn",
         quote(type));
  }
  const auto original = metadata.count("llama.rope.scaling.original_context_length");
  if (type == "yarn" && original) scaling["original_max_position_embeddings"] = *original;
  return scaling;
}

Json llama_config(const Metadata& metadata, std::span<const TensorEntry> tensors) {
  const std::uint64_t hidden = metadata.need_count("llama.embedding_length");
  const std::uint64_t heads = metadata.need_count("llama.attention.head_count");
  const auto key_length = metadata.count("llama.attention.key_length");
  const auto rotated = metadata.count("llama.rope.dimension_count");
  const std::uint64_t head_size = key_length.value_or(rotated.value_or(hidden / heads));
  if (rotated && *rotated != head_size) {
    fail(
        "GGUF metadata key \"llama.rope.dimension_count\" is {}, but heads have {} elements: "
        "partly rotated heads are not supported",
        *rotated, head_size);
  }
  if (metadata.count("llama.expert_count").value_or(0) > 0) {
    return {{"model_type", "mixtral"}, {"architectures", {"MixtralForCausalLM"}}};
  }
  LlamaSizes sizes;
  sizes.hidden = hidden;
  sizes.intermediate = metadata.need_count("llama.feed_forward_length");
  sizes.layers = metadata.need_count("llama.block_count");
  sizes.heads = heads;
  sizes.kv_heads = metadata.find("llama.attention.head_count_kv") != nullptr
                       ? metadata.need_count("llama.attention.head_count_kv")
                       : heads;
  sizes.head_size = head_size;
  sizes.context = metadata.need_count("llama.context_length");
  sizes.epsilon = metadata.real("llama.attention.layer_norm_rms_epsilon").value_or(1e-6);
  sizes.rope_theta = metadata.real("llama.rope.freq_base").value_or(10000.0);
  sizes.rope_scaling = rope_scaling(metadata, tensors);
  sizes.vocabulary = vocabulary(metadata, tensors);
  sizes.tied = tensor_named(tensors, "output.weight") == nullptr;
  sizes.attention_bias = tensor_named(tensors, "blk.0.attn_q.bias") != nullptr;
  sizes.mlp_bias = tensor_named(tensors, "blk.0.ffn_up.bias") != nullptr;
  Json config = llama_config(sizes);
  for (const auto& [key, from] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                  std::pair{"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                  std::pair{"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
    const auto id = metadata.count(from);
    config[key] = id ? Json(*id) : Json();
  }
  return config;
}

}  // namespace

nlohmann::json config_from_gguf(const nlohmann::json& metadata,
                                std::span<const TensorEntry> tensors) {
  const Metadata values(metadata);
  const auto architecture = values.text("general.architecture");
  if (!architecture) return nullptr;
  if (*architecture == "llama") return llama_config(values, tensors);
  return {{"model_type", *architecture}};
}

}  // namespace initrt
