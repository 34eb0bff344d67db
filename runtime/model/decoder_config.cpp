#include "runtime/model/decoder_config.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sharding/checkpoint/checked_json.h"

namespace initrt {
namespace {

constexpr std::uint64_t kMaxWidth = 1u << 20;  // keeps every product of sizes inside 64 bits
constexpr std::uint64_t kMaxHeadSize = 512;
constexpr std::uint64_t kMaxRotated = 64;  // behind a latent
constexpr std::uint64_t kMaxLayers = 4096, kMaxHeads = 4096;

GateFunction function_named(std::string_view key, const std::string& name) {
  constexpr std::pair<std::string_view, GateFunction> kFunctions[] = {
      {"silu", GateFunction::Silu},          {"swish", GateFunction::Silu},
      {"gelu", GateFunction::Gelu},          {"gelu_new", GateFunction::GeluTanh},
      {"gelu_fast", GateFunction::GeluTanh}, {"gelu_pytorch_tanh", GateFunction::GeluTanh},
      {"relu2", GateFunction::Relu2},
  };
  for (const auto& [known, function] : kFunctions) {
    if (name == known) return function;
  }
  fail("model config: {} {} is not known here", key, quote(name));
}

void read_heads(const ConfigReader& config, const SizeKeys& keys, DecoderSpec& spec) {
  spec.heads = static_cast<std::uint32_t>(config.whole(keys.heads, 1, kMaxHeads));
  spec.kv_heads =
      keys.kv_heads.empty()
          ? spec.heads
          : static_cast<std::uint32_t>(config.whole_or(keys.kv_heads, spec.heads, 1, kMaxHeads));
  if (spec.heads % spec.kv_heads != 0) {
    fail("model config: {} ({}) is not a multiple of {} ({})", keys.heads, spec.heads,
         keys.kv_heads, spec.kv_heads);
  }
  const bool given = !keys.head_size.empty() && config.has(keys.head_size);
  if (!given && spec.hidden % spec.heads != 0) {
    fail("model config: {} ({}) is not a multiple of {} ({})", keys.hidden, spec.hidden, keys.heads,
         spec.heads);
  }
  const std::uint64_t head_size =
      given ? config.whole(keys.head_size, 1, kMaxWidth) : spec.hidden / spec.heads;
  if (head_size > kMaxHeadSize) {
    fail("model config: heads of {} elements; the most is {}", head_size, kMaxHeadSize);
  }
  spec.head_size = static_cast<std::uint32_t>(head_size);
}

// What `layer_types` calls each layer, "full_attention" or `other`, or nothing where it is not
// there.
std::vector<std::string> layer_types(const ConfigReader& config, std::size_t layers,
                                     std::string_view other) {
  std::vector<std::string> types;
  if (!config.has("layer_types")) return types;
  const nlohmann::json& list = config.at("layer_types");
  if (!list.is_array() || list.size() != layers) {
    fail("model config: layer_types is not a list of {} layers", layers);
  }
  for (const nlohmann::json& type : list) {
    types.push_back(type.is_string() ? type.get<std::string>() : "");
    if (types.back() != other && types.back() != "full_attention") {
      fail("model config: layer_types has {}, expected full_attention or {}", quote(types.back()),
           other);
    }
  }
  return types;
}

// What configs call windows of one kind: their size, and the layers that have one.
struct WindowKeys {
  std::string_view size, type;
};

void set_windows(const ConfigReader& config, DecoderSpec& spec, const WindowKeys& keys,
                 std::uint32_t fallback, const std::function<bool(std::uint32_t)>& otherwise) {
  const std::vector<std::string> types = layer_types(config, spec.layers.size(), keys.type);
  if (config.is_null(keys.size) || (!config.has(keys.size) && fallback == 0)) return;
  const auto window =
      static_cast<std::uint32_t>(config.whole_or(keys.size, fallback, 1, kMaxContext));
  for (std::uint32_t layer = 0; layer < spec.layers.size(); ++layer) {
    const bool has_one = types.empty() ? otherwise(layer) : types[layer] == keys.type;
    if (has_one) spec.layers[layer].window = window;
  }
}

}  // namespace

DecoderSpec read_sizes(const ConfigReader& config, std::string family, const SizeKeys& keys) {
  DecoderSpec spec;
  spec.family = std::move(family);
  spec.hidden = config.whole(keys.hidden, 1, kMaxWidth);
  spec.intermediate = keys.intermediate.empty() || !config.has(keys.intermediate)
                          ? 4 * spec.hidden
                          : config.whole(keys.intermediate, 1, kMaxWidth);
  spec.layers.resize(config.whole(keys.layers, 1, kMaxLayers));
  read_heads(config, keys, spec);
  spec.vocabulary = config.whole("vocab_size", 1, 1u << 24);
  spec.context = config.whole_or(keys.context, 2048, 1, kMaxContext);
  spec.tied = config.flag_or("tie_word_embeddings", keys.tied);
  spec.function =
      function_named(keys.function, config.text_or(keys.function, keys.function_fallback));
  return spec;
}

DecoderSpec read_llama_like(const ConfigReader& config, std::string family, const SizeKeys& keys,
                            const RotaryKeys& rotary, double epsilon) {
  DecoderSpec spec = read_sizes(config, std::move(family), keys);
  (void)config.whole(keys.intermediate, 1, kMaxWidth);
  spec.epsilon = static_cast<float>(config.positive_or("rms_norm_eps", epsilon));
  spec.rotary = {read_rotary(config, spec.head_size, spec.context, rotary)};
  return spec;
}

void without_rotary(DecoderSpec& spec) {
  spec.rotary.clear();
  for (LayerSpec& layer : spec.layers) layer.rotary.reset();
}

void read_layer_norm(const ConfigReader& config, DecoderSpec& spec, std::string_view epsilon_key) {
  spec.norm = NormKind::Layer;
  spec.norm_bias = true;
  spec.epsilon = static_cast<float>(config.positive_or(epsilon_key, 1e-5));
}

void read_experts(const ConfigReader& config, DecoderSpec& spec, std::string_view count_key) {
  constexpr std::uint64_t kMax = 4096;
  spec.experts.routing.experts = static_cast<std::uint32_t>(config.whole(count_key, 1, kMax));
  spec.experts.routing.chosen =
      static_cast<std::uint32_t>(config.whole("num_experts_per_tok", 1, kMax));
}

void read_sparse_layers(const ConfigReader& config, DecoderSpec& spec) {
  const std::uint64_t step = config.whole_or("decoder_sparse_step", 1, 1, kMaxLayers);
  const nlohmann::json none = nlohmann::json::array();
  constexpr const char* kDense = "mlp_only_layers";
  const nlohmann::json& dense = config.has(kDense) ? config.at(kDense) : none;
  if (!dense.is_array()) fail("model config: {} is not a list", kDense);
  for (std::uint32_t layer = 0; layer < spec.layers.size(); ++layer) {
    spec.layers[layer].experts =
        (layer + 1) % step == 0 && std::find(dense.begin(), dense.end(), layer) == dense.end();
  }
}

void read_corrected_experts(const ConfigReader& config, DecoderSpec& spec,
                            const CorrectedExpertsDefaults& defaults) {
  constexpr std::uint64_t kMax = 4096;
  ExpertsSpec& experts = spec.experts;
  // Published configs have the first key, those that transformers 5 writes may have the second.
  read_experts(config, spec,
               config.has("n_routed_experts") ? "n_routed_experts" : "num_local_experts");
  experts.intermediate = config.whole("moe_intermediate_size", 1, kMaxWidth);
  experts.shared = experts.intermediate * config.whole_or("n_shared_experts", 1, 0, kMax);
  experts.correction = true;
  experts.routing.score = RouteScore::Sigmoid;
  experts.routing.normalize = config.flag_or("norm_topk_prob", true);
  experts.routing.scale =
      static_cast<float>(config.positive_or("routed_scaling_factor", defaults.scale));
  experts.routing.groups =
      static_cast<std::uint32_t>(config.whole_or("n_group", defaults.groups, 1, kMax));
  experts.routing.kept_groups =
      static_cast<std::uint32_t>(config.whole_or("topk_group", defaults.kept_groups, 1, kMax));
  const std::uint64_t dense =
      config.whole_or("first_k_dense_replace", defaults.dense, 0, kMaxLayers);
  for (std::uint64_t layer = dense; layer < spec.layers.size(); ++layer) {
    spec.layers[layer].experts = true;
  }
}

void read_latent(const ConfigReader& config, DecoderSpec& spec) {
  const auto size = [&](std::string_view key, std::uint64_t least, std::uint64_t most) {
    return static_cast<std::uint32_t>(config.whole(key, least, most));
  };
  LatentSizes& sizes = spec.latent;
  sizes.rank = size("kv_lora_rank", 1, kMaxHeadSize);
  if (config.has("q_lora_rank")) sizes.query_rank = size("q_lora_rank", 1, kMaxWidth);
  sizes.nope = size("qk_nope_head_dim", 1, kMaxHeadSize);
  sizes.rope = size("qk_rope_head_dim", 2, kMaxRotated);
  sizes.value = size("v_head_dim", 1, kMaxHeadSize);
  spec.kv_heads = 1;
  spec.head_size = sizes.rank + sizes.rope;
  spec.rotary = {read_rotary(config, sizes.rope, spec.context)};
  // Scores grow sharper where YaRN stretches the context, besides what rotated elements do.
  double sharper = 1;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key) || !config.at(key).is_object()) continue;
    const ConfigReader scaling(config.at(key));
    if (!scaling.has("mscale_all_dim") || !scaling.has("factor")) continue;
    // What was left of a stretch that is no more.
    const std::string type = scaling.text_or("rope_type", scaling.text_or("type", "default"));
    if (type == "default") continue;
    if (scaling.at("mscale_all_dim") == 0) continue;  // says nothing
    const double factor = scaling.positive("factor");
    if (factor > 1) sharper = 0.1 * scaling.positive("mscale_all_dim") * std::log(factor) + 1;
  }
  const double key = static_cast<double>(sizes.nope) + sizes.rope;
  spec.attention_scale = static_cast<float>(sharper * sharper / std::sqrt(key));
  spec.hf_names.rotary_interleaved = config.flag_or("rope_interleave", true);
}

void read_delta(const ConfigReader& config, DecoderSpec& spec) {
  constexpr std::uint64_t kMostKey = 256, kMostTaps = 8;  // of the kernels
  const auto size = [&](std::string_view key, std::uint64_t least, std::uint64_t most) {
    return static_cast<std::uint32_t>(config.whole(key, least, most));
  };
  DeltaSizes& sizes = spec.delta;
  sizes.key_heads = size("linear_num_key_heads", 1, kMaxHeads);
  sizes.value_heads = size("linear_num_value_heads", 1, kMaxHeads);
  sizes.key_size = size("linear_key_head_dim", 1, kMostKey);
  sizes.value_size = size("linear_value_head_dim", 1, kMaxHeadSize);
  sizes.taps = size("linear_conv_kernel_dim", 2, kMostTaps);
  if (sizes.value_heads % sizes.key_heads != 0) {
    fail("model config: linear_num_value_heads ({}) is not a multiple of linear_num_key_heads ({})",
         sizes.value_heads, sizes.key_heads);
  }
  const std::vector<std::string> types =
      layer_types(config, spec.layers.size(), "linear_attention");
  const std::uint64_t interval = config.whole_or("full_attention_interval", 4, 1, kMaxLayers);
  for (std::uint32_t layer = 0; layer < spec.layers.size(); ++layer) {
    spec.layers[layer].delta =
        types.empty() ? (layer + 1) % interval != 0 : types[layer] == "linear_attention";
  }
}

void read_windows(const ConfigReader& config, DecoderSpec& spec, std::uint32_t fallback,
                  const std::function<bool(std::uint32_t)>& slides) {
  set_windows(config, spec, {"sliding_window", "sliding_attention"}, fallback, slides);
}

void read_chunks(const ConfigReader& config, DecoderSpec& spec) {
  set_windows(config, spec, {"attention_chunk_size", "chunked_attention"}, 8192,
              [&](std::uint32_t layer) { return spec.layers[layer].rotary.has_value(); });
  for (LayerSpec& layer : spec.layers) layer.chunks = layer.window > 0;
}

void read_layers_without_positions(const ConfigReader& config, DecoderSpec& spec) {
  const std::uint64_t interval = config.whole_or("no_rope_layer_interval", 4, 1, kMaxLayers);
  nlohmann::json rotated = nullptr;
  if (config.has("no_rope_layers")) rotated = config.at("no_rope_layers");
  const bool listed = !rotated.is_null() && rotated != nlohmann::json::array();
  if (listed && (!rotated.is_array() || rotated.size() != spec.layers.size())) {
    fail("model config: no_rope_layers is not a list of {} layers", spec.layers.size());
  }
  for (std::uint32_t layer = 0; layer < spec.layers.size(); ++layer) {
    // In spite of its name, the list has 1 for layers that are rotated.
    const bool has_rope = listed ? rotated[layer] == 1 : (layer + 1) % interval != 0;
    if (!has_rope) spec.layers[layer].rotary.reset();
  }
}

void read_granite_choices(const ConfigReader& config, DecoderSpec& spec) {
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  spec.embedding_scale = static_cast<float>(config.positive_or("embedding_multiplier", 1));
  spec.attention_scale = static_cast<float>(config.positive_or("attention_multiplier", 1));
  spec.residual_scale = static_cast<float>(config.positive_or("residual_multiplier", 1));
  spec.logit_scale = static_cast<float>(1 / config.positive_or("logits_scaling", 1));
}

void refuse_flags(const ConfigReader& config, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (config.flag_or(key, false)) fail("model config: {} is true, which is not known here", key);
  }
}

}  // namespace initrt
