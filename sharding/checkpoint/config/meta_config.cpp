#include "sharding/checkpoint/config/meta_config.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "sharding/checkpoint/config/config_reader.h"
#include "sharding/checkpoint/config/llama_config.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMax = 1u << 30;
// A params.json that has none of these is some other program's.
constexpr std::array kSizes = {"dim", "n_layers", "n_heads"};

// What Meta's and Mistral's files have: it is read here or with the weights, or changes no number.
constexpr std::array<std::string_view, 33> kKnown = {"activation",
                                                     "causal",
                                                     "dim",
                                                     "dtype",
                                                     "ffn_dim_multiplier",
                                                     "head_dim",
                                                     "hidden_dim",
                                                     "llama_4_scaling",
                                                     "max_batch_size",
                                                     "max_position_embeddings",
                                                     "max_seq_len",
                                                     "model_type",
                                                     "moe",
                                                     "multimodal",
                                                     "multiple_of",
                                                     "n_heads",
                                                     "n_kv_heads",
                                                     "n_layers",
                                                     "norm_eps",
                                                     "quantization",
                                                     "rope_high_freq_factor",
                                                     "rope_scaling_factor",
                                                     "rope_theta",
                                                     "sliding_window",
                                                     "tied_embeddings",
                                                     "torch_dtype",
                                                     "use_scaled_rope",
                                                     "vision_chunk_size",
                                                     "vision_encoder",
                                                     "vision_max_num_chunks",
                                                     "vision_num_cross_attention_layers",
                                                     "vocab_size",
                                                     "yarn"};

// Names what may change the answer and is not known here, or nothing.
std::string not_known(const Json& json) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_null()) continue;
    const bool known = std::find(kKnown.begin(), kKnown.end(), key) != kKnown.end();
    const bool changes = key == "causal"       ? value != true
                         : key == "activation" ? value != "silu"
                                               : !known && value != false;
    if (changes) return key;
  }
  return "";
}

// Rows of a matrix; 0 where it is not there.
std::uint64_t rows_of(const Catalog& catalog, std::string_view name) {
  const std::int64_t found = catalog.find(name);
  if (found < 0) return 0;
  const TensorEntry& tensor = catalog.tensors[static_cast<std::size_t>(found)];
  return tensor.shape.empty() ? 1 : tensor.shape.front();
}

// The positions that the model was trained with, which no field says: LLaMA 1 and 2 differ in
// norm_eps, CodeLlama, Llama 3 and 3.1 in their rotary base and scaling.
std::uint64_t context_of(const LlamaSizes& sizes) {
  if (!sizes.rope_scaling.is_null()) return 131072;
  if (sizes.rope_theta == 1e6) return 16384;
  if (sizes.rope_theta == 5e5) return 8192;
  return sizes.epsilon < 5e-6 ? 2048 : 4096;
}

// What `use_scaled_rope` means is in Meta's code, not in the file
// (github.com/meta-llama/llama-models, models/llama3/model.py): a factor of 8, or in the two small
// models of Llama 3.2, which are known by their widths, of 32.
Json llama3_scaling(const ConfigReader& params, std::uint64_t hidden) {
  const double usual = hidden == 2048 || hidden == 3072 ? 32 : 8;
  return {{"rope_type", "llama3"},
          {"factor", params.positive_or("rope_scaling_factor", usual)},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", params.positive_or("rope_high_freq_factor", 4)},
          {"original_max_position_embeddings", 8192}};
}

// Mistral's "yarn", whose keys vLLM's transformers_utils/configs/mistral.py gives Hugging Face's
// names. Null where it scales attention too, in a way that is not known here.
Json mistral_yarn(const ConfigReader& yarn) {
  if (yarn.flag_or("apply_scale", true)) return nullptr;
  return {{"rope_type", "yarn"},
          {"factor", yarn.positive("factor")},
          {"beta_fast", yarn.positive_or("beta", 32)},
          {"beta_slow", yarn.positive_or("alpha", 1)},
          {"attention_factor", 1.0},
          {"original_max_position_embeddings",
           yarn.whole("original_max_position_embeddings", 1, kMax)}};
}

// Adds Mistral's "llama_4_scaling" to a scaling of the same original context.
// @return whether it is so
bool add_steps(const ConfigReader& steps, Json& scaling) {
  constexpr const char* kOriginal = "original_max_position_embeddings";
  if (scaling.is_null() || scaling[kOriginal] != steps.whole(kOriginal, 1, kMax)) return false;
  scaling["llama_4_scaling_beta"] = steps.positive("beta");
  return true;
}

// A config that no family takes, whose error names `what`.
Json not_supported(std::string_view model_type, const std::string& what) {
  return {{"model_type", model_type}, {"architectures", {what}}};
}

}  // namespace

Json config_from_meta(const Json& json, const Catalog& catalog) {
  const ConfigReader params(json);
  const auto has = [&](const char* key) { return params.has(key); };
  if (std::none_of(kSizes.begin(), kSizes.end(), has)) return nullptr;
  if (params.has("moe")) return not_supported("mixtral", "Mixtral with params.json");
  if (const std::string other = not_known(json); !other.empty()) {
    return not_supported("params.json", "params.json with " + other);
  }
  LlamaSizes sizes;
  sizes.intermediate = rows_of(catalog, "layers.0.feed_forward.w1.weight");
  sizes.vocabulary = rows_of(catalog, "tok_embeddings.weight");
  if (sizes.intermediate == 0 || sizes.vocabulary == 0) return nullptr;  // of another model
  sizes.hidden = params.whole("dim", 1, kMax);
  sizes.layers = params.whole("n_layers", 1, kMax);
  sizes.heads = params.whole("n_heads", 1, kMax);
  sizes.kv_heads = params.whole_or("n_kv_heads", sizes.heads, 1, kMax);
  sizes.head_size = params.whole_or("head_dim", sizes.hidden / sizes.heads, 1, kMax);
  sizes.epsilon = params.positive_or("norm_eps", 1e-5);
  sizes.rope_theta = params.positive_or("rope_theta", 10000.0);
  if (params.flag_or("use_scaled_rope", false)) {
    sizes.rope_scaling = llama3_scaling(params, sizes.hidden);
  }
  if (params.has("yarn")) {
    sizes.rope_scaling = mistral_yarn(ConfigReader(params.at("yarn")));
    if (sizes.rope_scaling.is_null()) {
      return not_supported("params.json", "params.json with such a yarn");
    }
  }
  if (params.has("llama_4_scaling") &&
      !add_steps(ConfigReader(params.at("llama_4_scaling")), sizes.rope_scaling)) {
    return not_supported("params.json", "params.json with such a llama_4_scaling");
  }
  sizes.context = params.whole_or("max_position_embeddings", context_of(sizes), 1, kMax);
  sizes.tied = catalog.find("output.weight") < 0;
  Json config = llama_config(sizes);
  if (params.has("sliding_window")) {
    config["model_type"] = "mistral";
    config["architectures"] = {"MistralForCausalLM"};
    config["sliding_window"] = params.whole("sliding_window", 1, kMax);
  }
  return config;
}

}  // namespace initrt
