#include "sharding/checkpoint/config/gguf_rope_scaling.h"

#include <optional>
#include <string>
#include <utility>

namespace initrt {
namespace {

using Json = nlohmann::json;

// The factors by which frequencies are divided are a tensor, or two for short and long sequences:
// Hugging Face's "longrope".
Json scaling_by_factors(const GgufSource& source, const std::string& short_name,
                        const std::string& long_name, const Json& attention_factor) {
  const std::uint64_t context = source.metadata.need_count(".context_length");
  Json scaling = {
      {"rope_type", "longrope"},
      {"short_factor", source.floats(short_name)},
      {"long_factor", source.floats(long_name)},
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
  if (source.has("rope_freqs.weight")) {  // Llama 3.1's
    return scaling_by_factors(source, "rope_freqs.weight", "rope_freqs.weight", 1.0);
  }
  if (source.has("rope_factors_short.weight") && source.has("rope_factors_long.weight")) {
    const auto factor = metadata.real(".rope.scaling.attn_factor");
    return scaling_by_factors(source, "rope_factors_short.weight", "rope_factors_long.weight",
                              factor ? Json(*factor) : Json());
  }
  auto factor = metadata.real(".rope.scaling.factor");
  if (!factor) factor = metadata.real(".rope.scale_linear");  // the old key
  // As llama.cpp takes a factor whose type is not said.
  const std::string type =
      metadata.text(".rope.scaling.type")
          .value_or(factor && *factor != 1.0 && *factor != 0.0 ? "linear" : "none");
  if (type == "none") return nullptr;
  if (!factor) {
    fail("GGUF metadata key {} is missing", quote(metadata.full(".rope.scaling.factor")));
  }
  Json scaling = {{"rope_type", type}, {"factor", *factor}};
  if (type != "linear" && type != "yarn") {
    fail("GGUF metadata key {} is {}: expected none, linear or yarn",
         quote(metadata.full(".rope.scaling.type")), quote(type));
  }
  if (type == "yarn") add_yarn(metadata, scaling);
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
