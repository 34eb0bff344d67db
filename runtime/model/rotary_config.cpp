#include "runtime/model/rotary_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "sharding/checkpoint/checked_json.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

// The object that describes the embedding, or an empty one.
Json parameters_of(const ConfigReader& config, std::string_view layer_type, bool scaled) {
  Json found = Json::object();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.has(key) || (!scaled && key == std::string_view("rope_scaling"))) continue;
    const Json& value = config.at(key);
    if (!value.is_object()) fail("model config: {} is not an object", key);
    if (!value.empty()) found = value;
  }
  // One set for each kind of layer: the others' are not looked at.
  if (const auto own = found.find(layer_type); own != found.end()) {
    if (!own->is_object()) fail("model config: rope_parameters.{} is not an object", layer_type);
    return *own;
  }
  const bool has_sets =
      std::any_of(found.begin(), found.end(), [](const Json& value) { return value.is_object(); });
  if (has_sets && layer_type.empty()) {
    fail("model config: rope_parameters has a set for each kind of layer, which is not known here");
  }
  return has_sets || !scaled ? Json::object() : found;
}

// What is read of the two objects that may hold it.
class RotaryReader {
 public:
  RotaryReader(const ConfigReader& config, const Json& parameters, std::uint64_t context,
               std::uint32_t head_size)
      : config_(config), parameters_(parameters), context_(context), head_size_(head_size) {}

  [[nodiscard]] const ConfigReader& parameters() const { return parameters_; }

  [[nodiscard]] double positive(std::string_view key, std::string_view config_key,
                                double fallback) const {
    return parameters_.positive_or(key, config_.positive_or(config_key, fallback));
  }

  // Positions that the model was trained with before it was stretched.
  [[nodiscard]] std::uint64_t original_context() const {
    constexpr const char* kKey = "original_max_position_embeddings";
    if (config_.has(kKey)) return config_.whole(kKey, 1, kMaxContext);
    return parameters_.whole_or(kKey, context_, 1, kMaxContext);
  }

  [[nodiscard]] std::uint32_t head_size() const { return head_size_; }

  // What the config says is the most, stretched or not.
  [[nodiscard]] std::uint64_t context() const { return context_; }

  // Positions after stretching.
  [[nodiscard]] std::uint64_t times(double factor, std::uint64_t positions) const {
    const double stretched = factor * static_cast<double>(positions);
    return static_cast<std::uint64_t>(std::min(stretched, static_cast<double>(kMaxContext)));
  }

  [[nodiscard]] double factor() const {
    const double ratio = static_cast<double>(context_) / static_cast<double>(original_context());
    return parameters_.positive_or("factor", ratio);
  }

  [[nodiscard]] std::vector<float> factors(const char* key, std::size_t count) const {
    const Json& list = parameters_.at(key);
    if (!list.is_array() || list.size() != count) {
      fail("model config: rope_scaling.{} is not a list of {} numbers", key, count);
    }
    std::vector<float> factors;
    for (const Json& number : list) {
      if (!number.is_number() || !(number.get<float>() > 0) ||
          !std::isfinite(number.get<float>())) {
        fail("model config: rope_scaling.{} has an element that is not a finite number above 0",
             key);
      }
      factors.push_back(number.get<float>());
    }
    return factors;
  }

 private:
  const ConfigReader& config_;
  const ConfigReader parameters_;
  const std::uint64_t context_;
  const std::uint32_t head_size_;
};

void scale_linear(RotarySpec& spec, const RotaryReader& reader) {
  const double factor = reader.parameters().positive("factor");
  spec.reach = reader.times(factor, reader.original_context());
  for (float& frequency : spec.frequencies) frequency /= static_cast<float>(factor);
}

void scale_dynamic(RotarySpec& spec, const RotaryReader& reader) {
  if (spec.dimensions <= 2) fail("model config: dynamic rope scaling of 2 dimensions");
  // Hunyuan's are stretched by a number that does not grow with the sequence.
  if (reader.parameters().has("alpha")) {
    const double dimensions = spec.dimensions;
    spec.theta *= std::pow(reader.parameters().positive("alpha"), dimensions / (dimensions - 2));
    spec.frequencies = rotary_frequencies(spec.dimensions, spec.theta);
    return;
  }
  spec.dynamic_factor = reader.parameters().positive("factor");
  spec.original_context = reader.context();
  spec.reach = reader.times(spec.dynamic_factor, spec.original_context);
}

void scale_llama3(RotarySpec& spec, const RotaryReader& reader) {
  const ConfigReader& parameters = reader.parameters();
  const Llama3Scaling scaling{parameters.positive("factor"), parameters.positive("low_freq_factor"),
                              parameters.positive("high_freq_factor"),
                              static_cast<double>(reader.original_context())};
  if (scaling.high_frequency_factor <= scaling.low_frequency_factor) {
    fail("model config: rope_scaling has high_freq_factor {}, not above low_freq_factor {}",
         scaling.high_frequency_factor, scaling.low_frequency_factor);
  }
  scale_llama3(spec, scaling);
}

void scale_yarn(RotarySpec& spec, const RotaryReader& reader) {
  const ConfigReader& parameters = reader.parameters();
  YarnScaling scaling{reader.factor(), static_cast<double>(reader.original_context())};
  scaling.beta_fast = parameters.positive_or("beta_fast", scaling.beta_fast);
  scaling.beta_slow = parameters.positive_or("beta_slow", scaling.beta_slow);
  scaling.truncate = parameters.flag_or("truncate", true);
  // Attention grows sharper with the logarithm of the stretch (the paper's section 3.4).
  const auto grown = [&](double mscale) {
    return scaling.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(scaling.factor) + 1.0;
  };
  const auto is_said = [&](const char* key) {  // 0 says nothing
    return parameters.has(key) && parameters.at(key) != 0;
  };
  double factor = grown(1);
  if (is_said("mscale") && is_said("mscale_all_dim")) {
    factor = grown(parameters.positive("mscale")) / grown(parameters.positive("mscale_all_dim"));
  }
  spec.attention_factor = static_cast<float>(parameters.positive_or("attention_factor", factor));
  spec.reach = reader.times(scaling.factor, reader.original_context());
  scale_yarn(spec, scaling);
}

void scale_longrope(RotarySpec& spec, const RotaryReader& reader) {
  const auto divided = [&](const char* key) {
    std::vector<float> frequencies = reader.factors(key, spec.frequencies.size());
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
      frequencies[i] = spec.frequencies[i] / frequencies[i];
    }
    return frequencies;
  };
  spec.original_context = reader.original_context();
  spec.long_frequencies = divided("long_factor");
  spec.frequencies = divided("short_factor");
  const double factor = reader.factor();
  const double grown =
      factor <= 1
          ? 1.0
          : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(spec.original_context)));
  spec.attention_factor =
      static_cast<float>(reader.parameters().positive_or("attention_factor", grown));
}

// Pairs are those of a head that is rotated whole, of which the slowest stand still.
void scale_proportional(RotarySpec& spec, const RotaryReader& reader) {
  const std::size_t turning = spec.frequencies.size();
  const double factor = reader.parameters().positive_or("factor", 1.0);
  spec.dimensions = reader.head_size();
  if (spec.dimensions % 2 != 0) {
    fail("model config: heads of {} elements, expected an even number", spec.dimensions);
  }
  spec.frequencies = rotary_frequencies(spec.dimensions, spec.theta);
  for (std::size_t i = 0; i < spec.frequencies.size(); ++i) {
    spec.frequencies[i] = i < turning ? spec.frequencies[i] / static_cast<float>(factor) : 0.0f;
  }
}

void read_steps(RotarySpec& spec, const RotaryReader& reader, std::uint32_t head_size) {
  constexpr const char* kKey = "llama_4_scaling_beta";
  if (!reader.parameters().has(kKey)) return;
  const double factor = reader.parameters().positive(kKey);
  constexpr double kMost = 1e6;  // scores are multiplied by it
  if (factor > kMost) fail("model config: {} is {}, the most is {}", kKey, factor, kMost);
  if (spec.dimensions != head_size) {
    fail("model config: {} beside heads of which {} of {} elements are rotated, expected all", kKey,
         spec.dimensions, head_size);
  }
  spec.step_factor = static_cast<float>(factor);
  spec.step = reader.original_context();
}

struct Scaling {
  std::string_view type;
  void (*apply)(RotarySpec& spec, const RotaryReader& reader);
};

// "su" is what the first Phi-3 configs called LongRoPE.
constexpr Scaling kScalings[] = {
    {"default", [](RotarySpec&, const RotaryReader&) {}},
    {"linear", scale_linear},
    {"dynamic", scale_dynamic},
    {"llama3", scale_llama3},
    {"yarn", scale_yarn},
    {"proportional", scale_proportional},
    {"longrope", scale_longrope},
    {"su", scale_longrope},
};

void check_finite(const RotarySpec& spec) {
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(spec.frequencies.begin(), spec.frequencies.end(), finite) ||
      !std::all_of(spec.long_frequencies.begin(), spec.long_frequencies.end(), finite) ||
      !finite(spec.attention_factor)) {
    fail("model config: the rotary embedding's frequencies are not finite");
  }
}

}  // namespace

RotarySpec read_rotary(const ConfigReader& config, std::uint32_t head_size, std::uint64_t context,
                       const RotaryKeys& keys) {
  const Json parameters = parameters_of(config, keys.layer_type, keys.scaled);
  const RotaryReader reader(config, parameters, context, head_size);
  const double partial = reader.positive("partial_rotary_factor", keys.partial_key, keys.partial);
  RotarySpec spec;
  spec.theta = reader.positive("rope_theta", keys.theta_key, keys.theta);
  spec.dimensions = static_cast<std::uint32_t>(std::min(partial, 2.0) * head_size);
  if (spec.dimensions == 0 || spec.dimensions > head_size || spec.dimensions % 2 != 0) {
    fail("model config: {} of {} elements of a head would be rotated, expected an even number",
         spec.dimensions, head_size);
  }
  spec.frequencies = rotary_frequencies(spec.dimensions, spec.theta);
  std::string type =
      reader.parameters().text_or("rope_type", reader.parameters().text_or("type", keys.type));
  if (keys.yarn_is_longrope && type == "yarn") type = "longrope";
  std::string known;
  for (const Scaling& scaling : kScalings) {
    if (scaling.type == type) {
      scaling.apply(spec, reader);
      if (keys.by_position) read_steps(spec, reader, head_size);
      check_finite(spec);
      return spec;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", scaling.type);
  }
  fail("model config: rope scaling of type {} is not known; known are: {}", quote(type), known);
}

}  // namespace initrt
