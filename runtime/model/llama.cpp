#include "runtime/model/llama.h"

#include <cmath>
#include <string>

#include "runtime/model/graph_builder.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/config_reader.h"

namespace initrt {
namespace {

constexpr std::uint64_t kMostWidth = 1u << 20;  // keeps every product of sizes inside 64 bits
constexpr std::uint64_t kMostHeadSize = 1024;

struct LlamaConfig {
  std::uint64_t hidden, intermediate;
  float epsilon;
  bool tied;
};

void refuse_partial_rotary(const ConfigReader& config) {
  constexpr const char* kKey = "partial_rotary_factor";
  if (config.positive_or(kKey, 1.0) != 1.0) {
    fail("model config: {} is {}, but heads that are rotated in part are not known here", kKey,
         config.positive(kKey));
  }
}

RotarySpec read_rotary(const ConfigReader& config, std::uint32_t head_size) {
  RotarySpec rotary{head_size, 10000.0};
  nlohmann::json parameters;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (config.has(key)) parameters = config.at(key);
  }
  if (config.has("rope_theta")) rotary.theta = config.positive("rope_theta");
  refuse_partial_rotary(config);
  if (parameters.is_null()) return rotary;
  if (!parameters.is_object()) fail("model config: rope_scaling is not an object");
  const ConfigReader reader(parameters);
  refuse_partial_rotary(reader);
  rotary.theta = reader.positive_or("rope_theta", rotary.theta);
  const std::string type = reader.text_or("rope_type", reader.text_or("type", "default"));
  if (type != "default") fail("model config: rope scaling of type {} is not known", quote(type));
  return rotary;
}

void refuse_biases(const ConfigReader& config) {
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (config.flag_or(key, false)) fail("model config: {} is true, which is not known here", key);
  }
}

}  // namespace

Graph build_llama(const nlohmann::json& json) {
  const ConfigReader config(json);
  Graph meta;
  meta.family = "llama";
  LlamaConfig sizes{};
  sizes.hidden = config.whole("hidden_size", 1, kMostWidth);
  sizes.intermediate = config.whole("intermediate_size", 1, kMostWidth);
  sizes.epsilon = static_cast<float>(config.positive_or("rms_norm_eps", 1e-6));
  sizes.tied = config.flag_or("tie_word_embeddings", false);
  meta.layers = static_cast<std::uint32_t>(config.whole("num_hidden_layers", 1, 4096));
  meta.heads = static_cast<std::uint32_t>(config.whole("num_attention_heads", 1, 4096));
  meta.kv_heads =
      static_cast<std::uint32_t>(config.whole_or("num_key_value_heads", meta.heads, 1, 4096));
  if (meta.heads % meta.kv_heads != 0) {
    fail("model config: num_attention_heads ({}) is not a multiple of num_key_value_heads ({})",
         meta.heads, meta.kv_heads);
  }
  if (!config.has("head_dim") && sizes.hidden % meta.heads != 0) {
    fail("model config: hidden_size ({}) is not a multiple of num_attention_heads ({})",
         sizes.hidden, meta.heads);
  }
  meta.head_size = static_cast<std::uint32_t>(
      config.whole_or("head_dim", sizes.hidden / meta.heads, 1, kMostHeadSize));
  if (meta.head_size > kMostHeadSize) {
    fail("model config: heads of {} elements (hidden_size / num_attention_heads); the most is {}",
         meta.head_size, kMostHeadSize);
  }
  if (meta.head_size % 2 != 0) fail("model config: a head size of {} is odd", meta.head_size);
  meta.vocabulary = config.whole("vocab_size", 1, 1u << 24);
  meta.context = config.whole_or("max_position_embeddings", 2048, 1, 1u << 30);
  meta.rotary = read_rotary(config, meta.head_size);
  refuse_biases(config);
  const std::string activation_function = config.text_or("hidden_act", "silu");
  if (activation_function != "silu") {
    fail("model config: hidden_act {} is not known here", quote(activation_function));
  }

  GraphBuilder builder(std::move(meta));
  const Graph shape = builder.graph();
  const std::uint64_t q_columns = std::uint64_t{shape.heads} * shape.head_size;
  const std::uint64_t kv_columns = std::uint64_t{shape.kv_heads} * shape.head_size;
  const ActivationId hidden = builder.activation("hidden", sizes.hidden);
  const ActivationId normed = builder.activation("normed", sizes.hidden);
  const ActivationId q = builder.activation("q", q_columns);
  const ActivationId k = builder.activation("k", kv_columns);
  const ActivationId v = builder.activation("v", kv_columns);
  const ActivationId attended = builder.activation("attended", q_columns);
  const ActivationId gate = builder.activation("gate", sizes.intermediate);
  const ActivationId up = builder.activation("up", sizes.intermediate);

  const std::uint32_t table =
      builder.matrix("model.embed_tokens.weight", shape.vocabulary, sizes.hidden);
  if (sizes.tied) builder.alias(table, "lm_head.weight");
  if (!sizes.tied) builder.embedding(table);
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_size));
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    Unit unit;
    unit.name = "block." + std::to_string(layer);
    const auto vector = [&](const char* name) {
      return builder.param(unit, builder.vector(prefix + name, sizes.hidden));
    };
    const auto matrix = [&](const char* name, std::uint64_t rows, std::uint64_t columns,
                            std::uint32_t rotary_heads = 0) {
      return builder.param(unit, builder.matrix(prefix + name, rows, columns, rotary_heads));
    };
    const ParamId attention_norm = vector("input_layernorm.weight");
    const ParamId wq = matrix("self_attn.q_proj.weight", q_columns, sizes.hidden, shape.heads);
    const ParamId wk = matrix("self_attn.k_proj.weight", kv_columns, sizes.hidden, shape.kv_heads);
    const ParamId wv = matrix("self_attn.v_proj.weight", kv_columns, sizes.hidden);
    const ParamId wo = matrix("self_attn.o_proj.weight", sizes.hidden, q_columns);
    const ParamId feed_norm = vector("post_attention_layernorm.weight");
    const ParamId wgate = matrix("mlp.gate_proj.weight", sizes.intermediate, sizes.hidden);
    const ParamId wup = matrix("mlp.up_proj.weight", sizes.intermediate, sizes.hidden);
    const ParamId wdown = matrix("mlp.down_proj.weight", sizes.hidden, sizes.intermediate);
    unit.ops = {
        RmsNormOp{hidden, normed, attention_norm, sizes.epsilon},
        LinearOp{normed, q, wq},
        LinearOp{normed, k, wk},
        LinearOp{normed, v, wv},
        RotaryOp{q, shape.heads},
        RotaryOp{k, shape.kv_heads},
        AttentionOp{q, k, v, attended, layer, shape.heads, shape.kv_heads, shape.head_size, scale},
        LinearOp{attended, normed, wo},
        AddOp{normed, hidden},
        RmsNormOp{hidden, normed, feed_norm, sizes.epsilon},
        LinearOp{normed, gate, wgate},
        LinearOp{normed, up, wup},
        GateOp{gate, up, gate, GateFunction::Silu},
        LinearOp{gate, normed, wdown},
        AddOp{normed, hidden},
    };
    builder.unit(std::move(unit));
  }
  const std::uint32_t norm = builder.vector("model.norm.weight", sizes.hidden);
  const std::uint32_t head =
      sizes.tied ? table : builder.matrix("lm_head.weight", shape.vocabulary, sizes.hidden);
  builder.head(norm, head, hidden, normed, sizes.epsilon, sizes.tied);
  return builder.take();
}

}  // namespace initrt
