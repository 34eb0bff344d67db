#include "sharding/checkpoint/config/meta_config.h"

#include <algorithm>
#include <array>

#include "sharding/checkpoint/config/config_reader.h"
#include "sharding/checkpoint/config/llama_config.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMax = 1u << 30;
// A params.json that has none of these is some other program's.
constexpr std::array kSizes = {"dim", "n_layers", "n_heads"};

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

}  // namespace

Json config_from_meta(const Json& json, const Catalog& catalog) {
  const ConfigReader params(json);
  const auto has = [&](const char* key) { return params.has(key); };
  if (std::none_of(kSizes.begin(), kSizes.end(), has)) return nullptr;
  if (params.has("moe")) {
    return {{"model_type", "mixtral"}, {"architectures", {"Mixtral with params.json"}}};
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
  sizes.context = context_of(sizes);
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
