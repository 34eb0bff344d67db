#include "sharding/checkpoint/config/lit_config.h"

#include "sharding/checkpoint/config/config_reader.h"
#include "sharding/checkpoint/config/llama_config.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMost = 1u << 30;

// A field under its present or its former name.
std::string text_of(const ConfigReader& fields, const char* name, const char* former,
                    const char* fallback) {
  return fields.text_or(name, fields.text_or(former, fallback));
}

// What makes the model something else than a LLaMA, or "" where nothing does.
std::string difference(const ConfigReader& fields) {
  const std::string norm = text_of(fields, "norm_class_name", "_norm_class", "LayerNorm");
  const std::string mlp = text_of(fields, "mlp_class_name", "_mlp_class", "GptNeoxMLP");
  if (norm != "RMSNorm" || mlp != "LLaMAMLP") return fmt::format("{} with {}", mlp, norm);
  struct Flag {
    const char* name;
    bool fallback;
  };
  for (const auto& [name, fallback] : {Flag{"parallel_residual", true},
                                       {"bias", true},
                                       {"shared_attention_norm", false},
                                       {"attn_bias", false},
                                       {"attention_bias", false},
                                       {"lm_head_bias", false},
                                       {"norm_qk", false},
                                       {"post_attention_norm", false},
                                       {"post_mlp_norm", false},
                                       {"rope_interleave", false},
                                       {"scale_embeddings", false}}) {
    if (fields.flag_or(name, fallback)) return name;
  }
  for (const char* name :
       {"sliding_window_size", "attention_scores_scalar", "attention_logit_softcapping",
        "final_logit_softcapping", "rope_local_base_freq", "rope_indices", "latent_attention"}) {
    if (fields.has(name)) return name;
  }
  return fields.positive_or("rotary_percentage", 0.25) == 1.0 ? "" : "rotary_percentage";
}

// Hugging Face's rope_scaling.
Json rope_scaling(const ConfigReader& fields) {
  if (fields.has("rope_adjustments")) {
    const ConfigReader adjustments(fields.at("rope_adjustments"));
    return {
        {"rope_type", "llama3"},
        {"factor", adjustments.positive("factor")},
        {"low_freq_factor", adjustments.positive("low_freq_factor")},
        {"high_freq_factor", adjustments.positive("high_freq_factor")},
        {"original_max_position_embeddings", adjustments.whole("original_max_seq_len", 1, kMost)}};
  }
  const double condense =
      fields.positive_or("rope_condense_ratio", fields.positive_or("condense_ratio", 1.0));
  if (condense == 1.0) return nullptr;
  return {{"rope_type", "linear"}, {"factor", condense}};
}

// The extent of a tensor's dimension. 0: it has no such dimension, or is not there
std::uint64_t extent(const Catalog& catalog, std::string_view name, std::size_t dimension) {
  const std::int64_t found = catalog.find(name);
  if (found < 0) return 0;
  const auto& shape = catalog.tensors[static_cast<std::size_t>(found)].shape;
  return dimension < shape.size() ? shape[dimension] : 0;
}

}  // namespace

Json config_from_lit_gpt(const Json& json) {
  const ConfigReader fields(json);
  if (const std::string other = difference(fields); !other.empty()) {
    return {{"model_type", "lit-gpt"}, {"architectures", {"Lit-GPT with " + other}}};
  }
  LlamaSizes sizes;
  sizes.hidden = fields.whole("n_embd", 1, kMost);
  sizes.intermediate = fields.whole("intermediate_size", 1, kMost);
  sizes.layers = fields.whole("n_layer", 1, kMost);
  sizes.heads = fields.whole("n_head", 1, kMost);
  sizes.kv_heads = fields.whole_or("n_query_groups", sizes.heads, 1, kMost);
  sizes.head_size = fields.whole_or("head_size", sizes.hidden / sizes.heads, 1, kMost);
  sizes.vocabulary = fields.has("padded_vocab_size") ? fields.whole("padded_vocab_size", 1, kMost)
                                                     : fields.whole("vocab_size", 1, kMost);
  sizes.context = fields.whole("block_size", 1, kMost);
  sizes.epsilon = fields.positive_or("norm_eps", 1e-5);
  sizes.rope_theta = fields.positive_or("rope_base", 10000.0);
  sizes.rope_scaling = rope_scaling(fields);
  return llama_config(sizes);
}

Json config_from_lit_llama(const Catalog& catalog) {
  constexpr std::uint64_t kHeadSize = 128;
  LlamaSizes sizes;
  sizes.vocabulary = extent(catalog, "transformer.wte.weight", 0);
  sizes.hidden = extent(catalog, "transformer.wte.weight", 1);
  sizes.intermediate = extent(catalog, "transformer.h.0.mlp.c_fc1.weight", 0);
  while (extent(catalog, fmt::format("transformer.h.{}.rms_1.scale", sizes.layers), 0) > 0) {
    ++sizes.layers;
  }
  if (sizes.vocabulary == 0 || sizes.intermediate == 0 || sizes.layers == 0 ||
      sizes.hidden % kHeadSize != 0) {
    return nullptr;
  }
  sizes.head_size = kHeadSize;
  sizes.heads = sizes.kv_heads = sizes.hidden / kHeadSize;
  sizes.context = 2048;
  sizes.epsilon = 1e-5;
  return llama_config(sizes);
}

}  // namespace initrt
