#include "sharding/checkpoint/config/gguf_rope_scaling.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr const char* kType = ".rope.scaling.type";
constexpr const char* kAttentionFactor = ".rope.scaling.attn_factor";

// By how much positions are stretched, and how, as llama.cpp takes what is not said.
struct Stretch {
  std::optional<double> factor;
  std::string type = "none";

  explicit Stretch(const GgufMetadata& metadata)
      : factor(metadata.real_unless_0(".rope.scaling.factor")) {
    if (!factor) factor = metadata.real_unless_0(".rope.scale_linear");  // the old key
    const bool some = factor && *factor != 1.0;
    type = metadata.text(kType).value_or(some ? "linear" : "none");
  }
};

// Whether a factor of scores is what YaRN has in any case: converters have written OLMo 3's so.
bool is_of_yarn(double attention, const Stretch& stretch) {
  if (stretch.type != "yarn" || !stretch.factor) return false;
  return std::abs(attention - (0.1 * std::log(*stretch.factor) + 1)) < 1e-4;
}

// The factors by which frequencies are divided are a tensor, or two for short and long sequences:
// Hugging Face's "longrope". What positions are stretched by comes on top.
Json scaling_by_factors(const GgufSource& source, const std::string& short_name,
                        const std::string& long_name, const Json& attention_factor) {
  const Stretch stretch(source.metadata);
  if (stretch.type == "yarn") {
    fail("GGUF metadata key {} is {} beside the tensor {}: the two are not known together",
         quote(source.metadata.full(kType)), quote(stretch.type), quote(short_name));
  }
  const float by = stretch.type == "none" ? 1.0f : static_cast<float>(stretch.factor.value_or(1.0));
  const auto factors = [&](const std::string& name) {
    std::vector<float> all = source.floats(name);
    for (float& factor : all) factor *= by;
    return all;
  };
  const std::uint64_t context = source.metadata.need_count(".context_length");
  Json scaling = {
      {"rope_type", "longrope"},
      {"short_factor", factors(short_name)},
      {"long_factor", factors(long_name)},
      {"original_max_position_embeddings",
       source.metadata.count(".rope.scaling.original_context_length").value_or(context)}};
  if (!attention_factor.is_null()) scaling["attention_factor"] = attention_factor;
  return scaling;
}

void add_yarn(const GgufMetadata& metadata, Json& scaling) {
  if (const auto original = metadata.count(".rope.scaling.original_context_length")) {
    scaling["original_max_position_embeddings"] = *original;
  }
  for (const auto& [key, from] :
       {std::pair{"beta_fast", ".rope.scaling.yarn_beta_fast"},
        std::pair{"beta_slow", ".rope.scaling.yarn_beta_slow"},
        std::pair{"attention_factor", ".rope.scaling.yarn_attn_factor"}}) {
    if (const auto value = metadata.real(from)) scaling[key] = *value;
  }
  if (const auto all = metadata.real(".rope.scaling.yarn_log_multiplier")) {
    scaling["mscale"] = 1.0;  // what llama.cpp takes it for
    scaling["mscale_all_dim"] = *all;
  }
  if (const auto beta = metadata.real(".attention.temperature_scale")) {
    scaling["llama_4_scaling_beta"] = *beta;
  }
}

constexpr const char* kBaseOfWindows = ".rope.freq_base_swa";

// The base of layers with a window, where that is not the others'.
std::optional<double> other_base(const GgufMetadata& metadata, const Json& config) {
  const std::optional<double> base = metadata.real(kBaseOfWindows);
  return base && *base != config["rope_theta"].get<double>() ? base : std::nullopt;
}

}  // namespace

Json gguf_rope_scaling(const GgufSource& source) {
  const GgufMetadata& metadata = source.metadata;
  const auto attention = metadata.real_unless_0(kAttentionFactor);
  if (source.has("rope_freqs.weight")) {  // Llama 3.1's
    return scaling_by_factors(source, "rope_freqs.weight", "rope_freqs.weight",
                              attention.value_or(1.0));
  }
  if (source.has("rope_factors_short.weight") && source.has("rope_factors_long.weight")) {
    return scaling_by_factors(source, "rope_factors_short.weight", "rope_factors_long.weight",
                              attention ? Json(*attention) : Json());
  }
  const Stretch stretch(metadata);
  if (attention && *attention != 1.0 && !is_of_yarn(*attention, stretch)) {
    fail("GGUF metadata key {} is {} without a tensor of factors, which is not known here",
         quote(metadata.full(kAttentionFactor)), *attention);
  }
  if (stretch.type == "none") return nullptr;
  if (!stretch.factor) {
    fail("GGUF metadata key {} is missing", quote(metadata.full(".rope.scaling.factor")));
  }
  Json scaling = {{"rope_type", stretch.type}, {"factor", *stretch.factor}};
  if (stretch.type != "linear" && stretch.type != "yarn") {
    fail("GGUF metadata key {} is {}: expected none, linear or yarn", quote(metadata.full(kType)),
         quote(stretch.type));
  }
  if (stretch.type == "yarn") add_yarn(metadata, scaling);
  return scaling;
}

void add_base_of_windows(const GgufMetadata& metadata, Json& config) {
  const std::optional<double> base = other_base(metadata, config);
  if (!base) return;
  Json full = config["rope_scaling"];
  if (full.is_null()) full = {{"rope_type", "default"}};
  full["rope_theta"] = config["rope_theta"];
  config["rope_parameters"] = {
      {"full_attention", full},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", *base}}}};
  config.erase("rope_scaling");
  config.erase("rope_theta");
}

void check_one_rope_base(const GgufMetadata& metadata, const Json& config) {
  const std::optional<double> base = other_base(metadata, config);
  if (!base) return;
  fail(
      "GGUF metadata key {} is {}, but {} is {}: two bases of rotary frequencies are not known of "
      "this architecture",
      quote(metadata.full(kBaseOfWindows)), *base, quote(metadata.full(".rope.freq_base")),
      config["rope_theta"].get<double>());
}

}  // namespace initrt
