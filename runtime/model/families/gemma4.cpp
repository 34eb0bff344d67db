// Gemma 4 (Google DeepMind 2026), of which the text model: norms on both sides whose weights are as
// they are, heads of values normalised too; layers that see all have larger heads, which are turned
// in part, and may take values for what keys are made of. Dense (31B), with experts beside each
// feed-forward (26B-A4B), or with inputs of each layer, of which the last share keys (E2B, E4B).
#include <array>
#include <cmath>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kMaxWidth = 1u << 20;

constexpr std::array kModules = {
    NamePair{"mlp.gate", "router.proj"},
    NamePair{"mlp.experts.*.gate_proj", "experts.*.gate_proj"},
    NamePair{"mlp.experts.*.up_proj", "experts.*.up_proj"},
    NamePair{"mlp.experts.*.down_proj", "experts.*.down_proj"},
};
// What sees and hears.
constexpr std::string_view kUnread[] = {"vision_tower.", "embed_vision.", "audio_tower.",
                                        "embed_audio."};
// Of layers that share keys: published files hold them.
constexpr std::string_view kShared[] = {"self_attn.k_proj.weight", "self_attn.v_proj.weight",
                                        "self_attn.k_norm.weight", "attn_k.weight",
                                        "attn_v.weight",           "attn_k_norm.weight"};

// Configs have only what differs from the defaults of the class (transformers,
// configuration_gemma4.py).
nlohmann::json with_defaults(const nlohmann::json& config) {
  if (!config.is_object()) fail("the model config is not a JSON object");
  nlohmann::json all = {{"vocab_size", 262144},      {"hidden_size", 2304},
                        {"intermediate_size", 9216}, {"num_hidden_layers", 30},
                        {"num_attention_heads", 8},  {"num_key_value_heads", 4},
                        {"head_dim", 256},           {"max_position_embeddings", 131072}};
  all.update(config);
  return all;
}

// The last layer sees all, whatever the config says.
void read_layer_kinds(const ConfigReader& config, DecoderSpec& spec) {
  if (config.is_null("sliding_window")) fail("model config: sliding_window is null");
  read_windows(config, spec, 512, [](std::uint32_t layer) { return (layer + 1) % 6 != 0; });
  spec.layers.back().window = 0;
}

// Heads of one layer that sees all: published configs say so for all of them, those that
// transformers 5 writes for each.
HeadSizes wide_heads(const ConfigReader& config, const DecoderSpec& spec, std::uint32_t layer) {
  constexpr const char* kEach = "per_layer_config";
  const auto sizes = [&](const ConfigReader& from, const char* head_key, const char* kv_key,
                         const HeadSizes& otherwise) {
    return HeadSizes{
        static_cast<std::uint32_t>(from.whole_or(kv_key, otherwise.kv_heads, 1, spec.heads)),
        static_cast<std::uint32_t>(from.whole_or(head_key, otherwise.head_size, 1, 512))};
  };
  if (config.has(kEach)) {
    const std::string number = std::to_string(layer);
    const nlohmann::json& each = config.at(kEach);
    const auto own = each.find(number);
    if (!each.is_object() || (own != each.end() && !own->is_object())) {
      fail("model config: {} does not say what differs in layers", kEach);
    }
    const HeadSizes common{spec.kv_heads, spec.head_size};
    return own == each.end() ? common
                             : sizes(ConfigReader(*own), "head_dim", "num_key_value_heads", common);
  }
  const bool of_keys = config.flag_or("attention_k_eq_v", false);
  return sizes(config, "global_head_dim", of_keys ? "num_global_key_value_heads" : "",
               {spec.kv_heads, 512});
}

void read_heads(const ConfigReader& config, DecoderSpec& spec) {
  const bool of_keys = config.flag_or("attention_k_eq_v", false);
  const std::uint32_t last = static_cast<std::uint32_t>(spec.layers.size()) - 1;
  spec.other_heads = wide_heads(config, spec, last);
  const auto [kv_heads, head_size] = spec.other_heads;
  if (spec.heads % kv_heads != 0) {
    fail("model config: num_attention_heads ({}) is not a multiple of {} KV heads", spec.heads,
         kv_heads);
  }
  for (std::uint32_t layer = 0; layer <= last; ++layer) {
    LayerSpec& of = spec.layers[layer];
    if (of.window > 0) continue;
    const HeadSizes own = wide_heads(config, spec, layer);
    if (own.kv_heads != kv_heads || own.head_size != head_size) {
      fail("model config: heads of layers {} and {} differ, which both see all", layer, last);
    }
    of.other_heads = true;
    of.values_of_keys = of_keys;
  }
}

void read_rotary_of_kinds(const ConfigReader& config, DecoderSpec& spec) {
  RotaryKeys global, local;
  global.theta = 1e6;
  global.partial = config.has("rope_parameters") ? 1.0 : 0.25;
  global.type = "proportional";
  global.layer_type = "full_attention";
  local.layer_type = "sliding_attention";
  spec.rotary = {read_rotary(config, spec.other_heads.head_size, spec.context, global),
                 read_rotary(config, spec.head_size, spec.context, local)};
  for (LayerSpec& layer : spec.layers) layer.rotary = layer.window > 0 ? 1 : 0;
}

// The last layers read the keys and values of the last one before them that is of their kind.
void read_shared_layers(const ConfigReader& config, DecoderSpec& spec) {
  constexpr const char* kCount = "num_kv_shared_layers";
  const std::uint64_t count = config.whole_or(kCount, 0, 0, spec.layers.size());
  const std::uint64_t first = spec.layers.size() - count;
  const bool wide = config.flag_or("use_double_wide_mlp", false);
  for (std::uint64_t layer = first; layer < spec.layers.size(); ++layer) {
    LayerSpec& of = spec.layers[layer];
    std::uint64_t owner = first;
    while (owner > 0 && spec.layers[owner - 1].window != of.window) --owner;
    if (owner == 0) {
      fail("model config: {} is {}, but layer {} has no other of its kind before those", kCount,
           count, layer);
    }
    of.kv_layer = static_cast<std::uint32_t>(owner - 1);
    of.wide = wide;
  }
  if (count > 0) spec.hf_names.buffers = kShared;
}

void read_own_experts(const ConfigReader& config, DecoderSpec& spec) {
  if (!config.flag_or("enable_moe_block", false)) return;
  constexpr std::uint64_t kMost = 4096;
  ExpertsSpec& experts = spec.experts;
  experts.routing.experts = static_cast<std::uint32_t>(config.whole("num_experts", 1, kMost));
  experts.routing.chosen = static_cast<std::uint32_t>(config.whole("top_k_experts", 1, kMost));
  experts.intermediate = config.whole("moe_intermediate_size", 1, kMaxWidth);
  experts.beside = true;
  for (LayerSpec& layer : spec.layers) layer.experts = true;
}

void read_layer_inputs(const ConfigReader& config, DecoderSpec& spec) {
  constexpr const char* kSize = "hidden_size_per_layer_input";
  constexpr const char* kTokens = "vocab_size_per_layer_input";
  spec.layer_inputs = config.is_null(kSize) ? 0 : config.whole_or(kSize, 256, 0, kMaxWidth);
  if (spec.layer_inputs == 0) return;
  if (const std::uint64_t tokens = config.whole_or(kTokens, 262144, 1, 1u << 24);
      tokens != spec.vocabulary) {
    fail("model config: {} is {}, but vocab_size {}", kTokens, tokens, spec.vocabulary);
  }
}

}  // namespace

Graph build_gemma4(const nlohmann::json& json) {
  const nlohmann::json whole = with_defaults(json);
  const ConfigReader config(whole);
  if (config.text_or("use_bidirectional_attention", "") == "all") {
    fail("model config: use_bidirectional_attention is \"all\", which is not known here");
  }
  SizeKeys keys;
  keys.function = "hidden_activation";
  keys.function_fallback = "gelu_pytorch_tanh";
  keys.tied = true;
  DecoderSpec spec = read_sizes(config, "gemma4", keys);
  spec.epsilon = static_cast<float>(config.positive_or("rms_norm_eps", 1e-6));
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.hidden));
  spec.residual = Residual::Sandwich;
  spec.layer_factor = true;
  spec.attention_scale = 1.0f;
  spec.qk_norm = QkNorm::Heads;
  spec.value_norm = true;
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  if (config.has("final_logit_softcapping")) {
    spec.logit_softcap = static_cast<float>(config.positive("final_logit_softcapping"));
  }
  read_layer_kinds(config, spec);
  read_heads(config, spec);
  read_rotary_of_kinds(config, spec);
  read_shared_layers(config, spec);
  read_own_experts(config, spec);
  read_layer_inputs(config, spec);
  spec.hf_names.table = {{}, "model.layers.", kModules};
  spec.hf_names.experts = ExpertsForm::Stacked;
  spec.hf_names.gate_up_of_all = "experts.gate_up_proj";
  spec.hf_names.down_of_all = "experts.down_proj";
  spec.hf_names.unread = kUnread;
  return build_decoder(spec);
}

}  // namespace initrt
