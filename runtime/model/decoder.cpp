#include "runtime/model/decoder.h"

#include <algorithm>
#include <cmath>

#include "runtime/model/graph_builder.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The activations that all blocks share.
struct Buffers {
  ActivationId hidden, normed, q, k, v, attended, gate = 0, up = 0;
  ActivationId scores = 0, taken = 0, expert_gate = 0, expert_up = 0;
};

Buffers add_buffers(const DecoderSpec& spec, GraphBuilder& builder) {
  const std::uint64_t q = std::uint64_t{spec.heads} * spec.head_size;
  const std::uint64_t kv = std::uint64_t{spec.kv_heads} * spec.head_size;
  bool dense = false, experts = false;
  for (const LayerSpec& layer : spec.layers) (layer.experts ? experts : dense) = true;
  Buffers buffers{};
  buffers.hidden = builder.activation("hidden", spec.hidden);
  buffers.normed = builder.activation("normed", spec.hidden);
  buffers.q = builder.activation("q", q);
  buffers.k = builder.activation("k", kv);
  buffers.v = builder.activation("v", kv);
  buffers.attended = builder.activation("attended", q);
  if (dense && spec.gated) buffers.gate = builder.activation("gate", spec.intermediate);
  if (dense) buffers.up = builder.activation("up", spec.intermediate);
  if (experts) {
    buffers.scores = builder.activation("scores", spec.experts.count);
    buffers.taken = builder.activation("taken", spec.hidden);
    buffers.expert_gate = builder.activation("expert_gate", spec.experts.intermediate);
    buffers.expert_up = builder.activation("expert_up", spec.experts.intermediate);
  }
  return buffers;
}

// Makes the units of one layer: a block, and behind it its experts.
class LayerBuilder {
 public:
  LayerBuilder(const DecoderSpec& spec, const Buffers& buffers, std::uint32_t layer,
               GraphBuilder& builder)
      : spec_(spec),
        layer_(spec.layers[layer]),
        index_(layer),
        at_(buffers),
        prefix_("model.layers." + std::to_string(layer) + "."),
        builder_(builder) {
    unit_.name = "block." + std::to_string(layer);
  }

  void build() {
    if (index_ == 0 && !spec_.learned_positions && spec_.embedding_scale != 1) {
      unit_.ops.emplace_back(ScaleOp{at_.hidden, spec_.embedding_scale});
    }
    // The norms' names are those of LLaMA, and of Gemma where there are more than two.
    switch (spec_.residual) {
      case Residual::PreNorm:
        norm("input_layernorm", at_.hidden);
        add(attention(at_.normed, at_.normed));
        norm("post_attention_layernorm", at_.hidden);
        feed_forward(at_.normed);
        break;
      case Residual::PostNorm:
        norm_in_place("post_attention_layernorm", attention(at_.hidden, at_.normed));
        add(at_.normed);
        norm_in_place("post_feedforward_layernorm", dense(at_.hidden, at_.normed));
        add(at_.normed);
        break;
      case Residual::Sandwich:
        norm("input_layernorm", at_.hidden);
        norm_in_place("post_attention_layernorm", attention(at_.normed, at_.normed));
        add(at_.normed);
        norm("pre_feedforward_layernorm", at_.hidden);
        norm_in_place("post_feedforward_layernorm", dense(at_.normed, at_.normed));
        add(at_.normed);
        break;
      case Residual::Parallel: {
        norm("input_layernorm", at_.hidden);
        const ActivationId attended = attention(at_.normed, at_.q);
        norm("post_attention_layernorm", at_.hidden);
        add(dense(at_.normed, at_.normed));
        add(attended);
        break;
      }
      case Residual::ParallelShared: {
        norm("input_layernorm", at_.hidden);
        const ActivationId attended = attention(at_.normed, at_.q);
        add(dense(at_.normed, at_.normed));
        add(attended);
        break;
      }
    }
    builder_.unit(std::move(unit_));
    for (std::uint32_t e = 0; layer_.experts && e < spec_.experts.count; ++e) expert(e);
  }

 private:
  ParamId matrix(Unit& unit, const std::string& module, std::uint64_t rows, std::uint64_t columns,
                 std::uint32_t rotary_heads = 0) {
    return builder_.param(
        unit, builder_.matrix(prefix_ + module + ".weight", rows, columns, rotary_heads));
  }

  std::optional<ParamId> bias(bool wanted, const std::string& module, std::uint64_t rows,
                              std::uint32_t rotary_heads = 0) {
    if (!wanted) return {};
    return builder_.param(unit_, builder_.vector(prefix_ + module + ".bias", rows, rotary_heads));
  }

  // out = W in + b.
  void linear(const char* module, ActivationId in, ActivationId out, bool with_bias,
              std::uint32_t rotary_heads = 0) {
    const std::uint64_t rows = builder_.columns(out);
    const ParamId weight = matrix(unit_, module, rows, builder_.columns(in), rotary_heads);
    unit_.ops.emplace_back(LinearOp{in, out, weight, bias(with_bias, module, rows, rotary_heads)});
  }

  void norm(const std::string& module, ActivationId in, ActivationId out, NormKind kind,
            bool with_bias, std::uint64_t group) {
    const ParamId weight =
        builder_.param(unit_, builder_.vector(prefix_ + module + ".weight", group));
    unit_.ops.emplace_back(NormOp{in, out, kind, weight, bias(with_bias, module, group),
                                  spec_.epsilon, spec_.norm_offset, group});
  }
  void norm(const char* module, ActivationId in) {
    norm(module, in, at_.normed, spec_.norm, spec_.norm_bias, spec_.hidden);
  }
  void norm_in_place(const char* module, ActivationId x) {
    norm(module, x, x, spec_.norm, spec_.norm_bias, spec_.hidden);
  }
  void qk_norm(const char* module, ActivationId x) {
    if (spec_.qk_norm == QkNorm::None) return;
    const bool heads = spec_.qk_norm == QkNorm::Heads;
    norm(module, x, x, NormKind::Rms, false, heads ? spec_.head_size : builder_.columns(x));
  }

  void add(ActivationId x) {
    if (spec_.residual_scale != 1) unit_.ops.emplace_back(ScaleOp{x, spec_.residual_scale});
    unit_.ops.emplace_back(AddOp{x, at_.hidden});
  }

  // @param into `normed`; or q, where a parallel feed-forward needs what is in `normed`: only where
  //        heads make up the hidden size
  ActivationId attention(ActivationId in, ActivationId into) {
    const bool rotated = layer_.rotary.has_value();
    // Checkpoints that interleave the halves do so in all layers, rotated or not.
    const bool any = !spec_.rotary.empty();
    linear("self_attn.q_proj", in, at_.q, spec_.qkv_bias, any ? spec_.heads : 0);
    linear("self_attn.k_proj", in, at_.k, spec_.qkv_bias, any ? spec_.kv_heads : 0);
    linear("self_attn.v_proj", in, at_.v, spec_.qkv_bias);
    qk_norm("self_attn.q_norm", at_.q);
    qk_norm("self_attn.k_norm", at_.k);
    if (rotated) {
      unit_.ops.emplace_back(RotaryOp{at_.q, spec_.heads, *layer_.rotary});
      unit_.ops.emplace_back(RotaryOp{at_.k, spec_.kv_heads, *layer_.rotary});
    }
    const float scale = spec_.attention_scale != 0
                            ? spec_.attention_scale
                            : 1.0f / std::sqrt(static_cast<float>(spec_.head_size));
    unit_.ops.emplace_back(AttentionOp{at_.q, at_.k, at_.v, at_.attended, index_, spec_.heads,
                                       spec_.kv_heads, spec_.head_size, scale,
                                       spec_.attention_softcap, layer_.window});
    linear("self_attn.o_proj", at_.attended, into, spec_.out_bias);
    return into;
  }

  ActivationId dense(ActivationId in, ActivationId out) {
    if (spec_.gated) linear("mlp.gate_proj", in, at_.gate, spec_.mlp_bias);
    linear("mlp.up_proj", in, at_.up, spec_.mlp_bias);
    const ActivationId product = spec_.gated ? at_.gate : at_.up;
    unit_.ops.emplace_back(GateOp{product, spec_.gated ? std::optional(at_.up) : std::nullopt,
                                  product, spec_.function});
    linear("mlp.down_proj", product, out, spec_.mlp_bias);
    return out;
  }

  void feed_forward(ActivationId in) {
    if (!layer_.experts) return add(dense(in, in));
    linear("mlp.gate", in, at_.scores, false);
    unit_.ops.emplace_back(
        RouteOp{at_.scores, spec_.experts.count, spec_.experts.chosen, spec_.experts.normalize});
  }

  // An expert works on what the block's last norm left in `normed`, and adds to `hidden`.
  void expert(std::uint32_t index) {
    const std::string module = "mlp.experts." + std::to_string(index) + ".";
    const std::uint64_t width = spec_.experts.intermediate;
    Unit unit;
    unit.name = "block." + std::to_string(index_) + ".expert." + std::to_string(index);
    unit.kind = UnitKind::Expert;
    const ParamId gate = matrix(unit, module + "gate_proj", width, spec_.hidden);
    const ParamId up = matrix(unit, module + "up_proj", width, spec_.hidden);
    const ParamId down = matrix(unit, module + "down_proj", spec_.hidden, width);
    unit.ops = {
        TakeRowsOp{at_.normed, at_.taken},
        LinearOp{at_.taken, at_.expert_gate, gate, {}},
        LinearOp{at_.taken, at_.expert_up, up, {}},
        GateOp{at_.expert_gate, at_.expert_up, at_.expert_gate, spec_.function},
        LinearOp{at_.expert_gate, at_.taken, down, {}},
        AddRowsOp{at_.taken, at_.hidden},
    };
    builder_.unit(std::move(unit));
  }

  const DecoderSpec& spec_;
  const LayerSpec& layer_;
  const std::uint32_t index_;
  const Buffers& at_;
  const std::string prefix_;
  GraphBuilder& builder_;
  Unit unit_;
};

void add_positions(const DecoderSpec& spec, const Buffers& buffers, GraphBuilder& builder) {
  Unit unit;
  unit.name = "positions";
  if (spec.embedding_scale != 1) {
    unit.ops.emplace_back(ScaleOp{buffers.hidden, spec.embedding_scale});
  }
  const std::uint32_t table =
      builder.matrix("model.embed_positions.weight", spec.context, spec.hidden);
  unit.ops.emplace_back(PositionOp{buffers.hidden, builder.param(unit, table)});
  builder.unit(std::move(unit));
}

void check(const DecoderSpec& spec) {
  for (const LayerSpec& layer : spec.layers) {
    if (layer.rotary && *layer.rotary >= spec.rotary.size()) {
      fail("a layer refers to rotary embedding {} of {}", *layer.rotary, spec.rotary.size());
    }
  }
  const bool parallel =
      spec.residual == Residual::Parallel || spec.residual == Residual::ParallelShared;
  if (parallel && std::uint64_t{spec.heads} * spec.head_size != spec.hidden) {
    fail("model config: {} heads of {} elements do not make up the hidden size of {}", spec.heads,
         spec.head_size, spec.hidden);
  }
  // A config of a hundred bytes can ask for any number of units.
  constexpr std::uint64_t kMaxExperts = 32768;
  const ExpertsSpec& experts = spec.experts;
  if (experts.count > 0 && spec.residual_scale != 1) {
    fail("model config: experts whose results are scaled are not known here");
  }
  if (spec.layers.size() * std::uint64_t{experts.count} > kMaxExperts) {
    fail("model config: {} experts in each of {} layers are more than {}", experts.count,
         spec.layers.size(), kMaxExperts);
  }
  if (experts.chosen > experts.count) {
    fail("model config: {} of {} experts are to be chosen for each token", experts.chosen,
         experts.count);
  }
}

}  // namespace

Graph build_decoder(const DecoderSpec& spec) {
  check(spec);
  Graph meta;
  meta.family = spec.family;
  meta.vocabulary = spec.vocabulary;
  meta.context = spec.context;
  for (const RotarySpec& rotary : spec.rotary) {
    meta.context = std::max(meta.context, rotary.reach);
  }
  meta.layers = static_cast<std::uint32_t>(spec.layers.size());
  meta.heads = spec.heads;
  meta.kv_heads = spec.kv_heads;
  meta.head_size = spec.head_size;
  meta.rotary = spec.rotary;
  meta.hf_names = spec.hf_names;
  GraphBuilder builder(std::move(meta));
  const Buffers buffers = add_buffers(spec, builder);
  const std::uint32_t table =
      builder.matrix("model.embed_tokens.weight", spec.vocabulary, spec.hidden);
  if (spec.tied) {
    builder.alias(table, "lm_head.weight");
  } else {
    builder.embedding(table);
  }
  if (spec.learned_positions) add_positions(spec, buffers, builder);
  for (std::uint32_t layer = 0; layer < spec.layers.size(); ++layer) {
    LayerBuilder(spec, buffers, layer, builder).build();
  }
  HeadSpec head;
  head.norm = {buffers.hidden, buffers.normed,   spec.norm,  0, {},
               spec.epsilon,   spec.norm_offset, spec.hidden};
  head.norm_weight = builder.vector("model.norm.weight", spec.hidden);
  if (spec.norm_bias) head.norm_bias = builder.vector("model.norm.bias", spec.hidden);
  head.table = spec.tied ? table : builder.matrix("lm_head.weight", spec.vocabulary, spec.hidden);
  head.tied = spec.tied;
  head.scale = spec.logit_scale;
  head.softcap = spec.logit_softcap;
  builder.head(head);
  return builder.take();
}

}  // namespace initrt
