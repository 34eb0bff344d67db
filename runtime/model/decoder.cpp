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
  ActivationId shared_gate = 0, shared_up = 0;
  ActivationId q_latent = 0, q_nope = 0, q_rope = 0, q_absorbed = 0, latent = 0, k_rope = 0;
};

void add_latent_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const LatentSizes& sizes = spec.latent;
  const std::uint64_t heads = spec.heads;
  const std::uint64_t key = sizes.rank + sizes.rope;
  if (sizes.query_rank > 0) buffers.q_latent = builder.activation("q_latent", sizes.query_rank);
  buffers.q_nope = builder.activation("q_nope", heads * sizes.nope);
  buffers.q_rope = builder.activation("q_rope", heads * sizes.rope);
  buffers.q_absorbed = builder.activation("q_absorbed", heads * sizes.rank);
  buffers.q = builder.activation("q", heads * key);
  buffers.latent = builder.activation("latent", sizes.rank);
  buffers.k_rope = builder.activation("k_rope", sizes.rope);
  buffers.k = builder.activation("k", key);
  buffers.attended = builder.activation("attended", heads * sizes.value);
}

Buffers add_buffers(const DecoderSpec& spec, GraphBuilder& builder) {
  const std::uint64_t q = std::uint64_t{spec.heads} * spec.head_size;
  const std::uint64_t kv = std::uint64_t{spec.kv_heads} * spec.head_size;
  bool dense = false, experts = false;
  for (const LayerSpec& layer : spec.layers) (layer.experts ? experts : dense) = true;
  Buffers buffers{};
  buffers.hidden = builder.activation("hidden", spec.hidden);
  buffers.normed = builder.activation("normed", spec.hidden);
  if (spec.latent.rank > 0) {
    add_latent_buffers(spec, builder, buffers);
  } else {
    buffers.q = builder.activation("q", q);
    buffers.k = builder.activation("k", kv);
    buffers.v = builder.activation("v", kv);
    buffers.attended = builder.activation("attended", q);
  }
  if (dense && spec.gated) buffers.gate = builder.activation("gate", spec.intermediate);
  if (dense) buffers.up = builder.activation("up", spec.intermediate);
  if (experts) {
    buffers.scores = builder.activation("scores", spec.experts.routing.experts);
    buffers.taken = builder.activation("taken", spec.hidden);
    buffers.expert_gate = builder.activation("expert_gate", spec.experts.intermediate);
    buffers.expert_up = builder.activation("expert_up", spec.experts.intermediate);
  }
  if (experts && spec.experts.shared > 0) {
    buffers.shared_gate = builder.activation("shared_gate", spec.experts.shared);
    buffers.shared_up = builder.activation("shared_up", spec.experts.shared);
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
    for (std::uint32_t e = 0; layer_.experts && e < spec_.experts.routing.experts; ++e) expert(e);
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

  // @param sets of weights, one for each group; 0: one for all of them
  void norm(const std::string& module, ActivationId in, ActivationId out, NormKind kind,
            bool with_bias, std::uint64_t group, std::uint32_t sets = 0) {
    const std::string name = prefix_ + module + ".weight";
    const ParamId weight = builder_.param(
        unit_, sets > 0 ? builder_.heads(name, sets, group) : builder_.vector(name, group));
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
    const std::uint64_t columns = builder_.columns(x);
    const std::uint64_t group = spec_.qk_norm == QkNorm::Whole ? columns : spec_.head_size;
    const auto sets = static_cast<std::uint32_t>(columns / group);
    norm(module, x, x, spec_.qk_norm_kind, false, group,
         spec_.qk_norm == QkNorm::EachHead ? sets : 0);
  }

  void qk_norms() {
    qk_norm("self_attn.q_norm", at_.q);
    qk_norm("self_attn.k_norm", at_.k);
  }

  void add(ActivationId x) {
    if (spec_.residual_scale != 1) unit_.ops.emplace_back(ScaleOp{x, spec_.residual_scale});
    unit_.ops.emplace_back(AddOp{x, at_.hidden});
  }

  // @param into `normed`; or q, where a parallel feed-forward needs what is in `normed`: only where
  //        heads make up the hidden size
  ActivationId attention(ActivationId in, ActivationId into) {
    if (spec_.latent.rank > 0) return latent_attention(in, into);
    const bool rotated = layer_.rotary.has_value();
    // Checkpoints that interleave the halves do so in all layers, rotated or not.
    const bool any = !spec_.rotary.empty();
    linear("self_attn.q_proj", in, at_.q, spec_.qkv_bias, any ? spec_.heads : 0);
    linear("self_attn.k_proj", in, at_.k, spec_.qkv_bias, any ? spec_.kv_heads : 0);
    linear("self_attn.v_proj", in, at_.v, spec_.qkv_bias);
    if (!spec_.qk_norm_rotated) qk_norms();
    if (rotated) {
      const std::uint32_t of_queries = layer_.query_rotary.value_or(*layer_.rotary);
      unit_.ops.emplace_back(RotaryOp{at_.q, spec_.head_size, of_queries});
      unit_.ops.emplace_back(RotaryOp{at_.k, spec_.head_size, *layer_.rotary});
    }
    if (spec_.qk_norm_rotated) qk_norms();
    const float scale = spec_.attention_scale != 0
                            ? spec_.attention_scale
                            : 1.0f / std::sqrt(static_cast<float>(spec_.head_size));
    AttentionOp op{at_.q,
                   at_.k,
                   at_.v,
                   at_.attended,
                   index_,
                   spec_.heads,
                   spec_.kv_heads,
                   spec_.head_size,
                   spec_.head_size,
                   scale,
                   spec_.attention_softcap,
                   layer_.window};
    if (spec_.sinks) {
      const std::uint32_t sinks = builder_.vector(prefix_ + "self_attn.sinks", spec_.heads);
      builder_.keep_float32(sinks);
      op.sinks = builder_.param(unit_, sinks);
    }
    unit_.ops.emplace_back(op);
    linear("self_attn.o_proj", at_.attended, into, spec_.out_bias);
    return into;
  }

  // A product by heads, each of its own part of `in`.
  void linear_of_heads(const char* module, ActivationId in, ActivationId out) {
    const ParamId weight =
        matrix(unit_, module, builder_.columns(out), builder_.columns(in) / spec_.heads);
    unit_.ops.emplace_back(LinearOp{in, out, weight, {}, spec_.heads});
  }

  ActivationId latent_attention(ActivationId in, ActivationId into) {
    const LatentSizes& sizes = spec_.latent;
    constexpr float kEpsilon = 1e-6f;  // of the latents' norms, whatever the model's is
    const auto latent_norm = [&](const char* module, ActivationId x) {
      norm(module, x, x, NormKind::Rms, false, builder_.columns(x));
      std::get<NormOp>(unit_.ops.back()).epsilon = kEpsilon;
    };
    ActivationId queries = in;
    if (sizes.query_rank > 0) {
      linear("self_attn.q_a_proj", in, at_.q_latent, spec_.qkv_bias);
      latent_norm("self_attn.q_a_layernorm", at_.q_latent);
      queries = at_.q_latent;
    }
    linear("self_attn.q_nope_proj", queries, at_.q_nope, false);
    linear("self_attn.q_rope_proj", queries, at_.q_rope, false, spec_.heads);
    linear("self_attn.kv_a_proj", in, at_.latent, spec_.qkv_bias);
    linear("self_attn.k_rope_proj", in, at_.k_rope, spec_.qkv_bias, 1);
    latent_norm("self_attn.kv_a_layernorm", at_.latent);
    unit_.ops.emplace_back(RotaryOp{at_.q_rope, sizes.rope, *layer_.rotary});
    unit_.ops.emplace_back(RotaryOp{at_.k_rope, sizes.rope, *layer_.rotary});
    linear_of_heads("self_attn.k_b_proj", at_.q_nope, at_.q_absorbed);
    unit_.ops.emplace_back(JoinOp{at_.q_absorbed, at_.q_rope, at_.q, spec_.heads});
    unit_.ops.emplace_back(JoinOp{at_.latent, at_.k_rope, at_.k, 1});
    unit_.ops.emplace_back(AttentionOp{at_.q,
                                       at_.k,
                                       {},
                                       at_.q_absorbed,
                                       index_,
                                       spec_.heads,
                                       1,
                                       sizes.rank + sizes.rope,
                                       sizes.rank,
                                       spec_.attention_scale});
    linear_of_heads("self_attn.v_b_proj", at_.q_absorbed, at_.attended);
    linear("self_attn.o_proj", at_.attended, into, spec_.out_bias);
    return into;
  }

  [[nodiscard]] Gating gating() const {
    return {spec_.function, spec_.gate_limit, spec_.up_offset};
  }

  // down(gating(gate(in), up(in))). @param module with its dot
  ActivationId gated(const std::string& module, ActivationId in, ActivationId gate, ActivationId up,
                     ActivationId out, bool with_bias) {
    linear((module + "gate_proj").c_str(), in, gate, with_bias);
    linear((module + "up_proj").c_str(), in, up, with_bias);
    unit_.ops.emplace_back(GateOp{gate, up, gate, gating()});
    linear((module + "down_proj").c_str(), gate, out, with_bias);
    return out;
  }

  ActivationId dense(ActivationId in, ActivationId out) {
    if (spec_.gated) return gated("mlp.", in, at_.gate, at_.up, out, spec_.mlp_bias);
    linear("mlp.up_proj", in, at_.up, spec_.mlp_bias);
    unit_.ops.emplace_back(GateOp{at_.up, {}, at_.up, spec_.function});
    linear("mlp.down_proj", at_.up, out, spec_.mlp_bias);
    return out;
  }

  void feed_forward(ActivationId in) {
    if (!layer_.experts) return add(dense(in, in));
    const ExpertsSpec& experts = spec_.experts;
    // Before the scores: experts read what is in `in`.
    if (experts.shared > 0) {
      add(gated("mlp.shared_experts.", in, at_.shared_gate, at_.shared_up, at_.taken, false));
    }
    linear("mlp.gate", in, at_.scores, experts.router_bias);
    RouteOp route{at_.scores, experts.routing};
    route.routing.scale *= spec_.residual_scale;
    if (experts.correction) {
      const std::uint32_t correction =
          builder_.vector(prefix_ + "mlp.gate.e_score_correction_bias", experts.routing.experts);
      builder_.keep_float32(correction);
      route.correction = builder_.param(unit_, correction);
    }
    unit_.ops.emplace_back(route);
  }

  // An expert works on what the block's last norm left in `normed`, and adds to `hidden`.
  void expert(std::uint32_t index) {
    const std::string module = "mlp.experts." + std::to_string(index) + ".";
    Unit unit;
    unit.name = "block." + std::to_string(index_) + ".expert." + std::to_string(index);
    unit.kind = UnitKind::Expert;
    unit.ops.emplace_back(TakeRowsOp{at_.normed, at_.taken});
    const auto product = [&](const char* name, ActivationId in, ActivationId out) {
      const std::uint64_t rows = builder_.columns(out);
      LinearOp op{in, out, matrix(unit, module + name, rows, builder_.columns(in)), {}};
      if (spec_.experts.bias) {
        op.bias = builder_.param(unit, builder_.vector(prefix_ + module + name + ".bias", rows));
      }
      unit.ops.emplace_back(op);
    };
    product("gate_proj", at_.taken, at_.expert_gate);
    product("up_proj", at_.taken, at_.expert_up);
    unit.ops.emplace_back(GateOp{at_.expert_gate, at_.expert_up, at_.expert_gate, gating()});
    product("down_proj", at_.expert_gate, at_.taken);
    unit.ops.emplace_back(AddRowsOp{at_.taken, at_.hidden});
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
  for (const RotarySpec& rotary : spec.rotary) {
    if (spec.hf_names.rotary_interleaved && spec.latent.rank == 0 &&
        rotary.dimensions != spec.head_size) {
      fail("model config: {} of {} elements of a head are rotated, expected all in this family",
           rotary.dimensions, spec.head_size);
    }
  }
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
  const Routing& routing = spec.experts.routing;
  if (spec.layers.size() * std::uint64_t{routing.experts} > kMaxExperts) {
    fail("model config: {} experts in each of {} layers are more than {}", routing.experts,
         spec.layers.size(), kMaxExperts);
  }
  if (routing.groups == 0 || routing.experts % routing.groups != 0 || routing.kept_groups == 0 ||
      routing.kept_groups > routing.groups) {
    fail("model config: {} of {} groups of {} experts are to be kept for each token",
         routing.kept_groups, routing.groups, routing.experts);
  }
  const std::uint64_t most = std::uint64_t{routing.experts} / routing.groups * routing.kept_groups;
  if (routing.chosen > most) {
    fail("model config: {} of {} experts are to be chosen for each token", routing.chosen, most);
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
  meta.latent = spec.latent;
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
  if (spec.head_bias) head.bias = builder.vector("lm_head.bias", spec.vocabulary);
  head.tied = spec.tied;
  head.scale = spec.logit_scale;
  head.softcap = spec.logit_softcap;
  builder.head(head);
  return builder.take();
}

}  // namespace initrt
