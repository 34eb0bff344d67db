#include "runtime/model/decoder.h"

#include <algorithm>

#include "runtime/model/block_builder.h"
#include "sharding/error.h"

namespace initrt {
namespace {

Buffers add_buffers(const DecoderSpec& spec, GraphBuilder& builder) {
  bool dense = false, wide = false, experts = false;
  bool attention = false, delta = false, state_space = false;
  for (const LayerSpec& layer : spec.layers) {
    if (layer.feeds && layer.experts) experts = true;
    if (layer.feeds && (!layer.experts || spec.experts.beside)) (layer.wide ? wide : dense) = true;
    if (layer.mixes) {
      (layer.delta ? delta : layer.state_space ? state_space : attention) = true;
    }
  }
  Buffers buffers;
  buffers.hidden = builder.activation("hidden", spec.hidden);
  buffers.normed = builder.activation("normed", spec.hidden);
  if (spec.latent.rank > 0) {
    add_latent_buffers(spec, builder, buffers);
  } else if (attention) {
    add_attention_buffers(spec, builder, buffers);
  }
  if (delta) add_delta_buffers(spec, builder, buffers);
  if (state_space) add_state_space_buffers(spec, builder, buffers);
  if (dense && spec.gated) buffers.gate = builder.activation("gate", spec.intermediate);
  if (dense) buffers.up = builder.activation("up", spec.intermediate);
  if (wide && spec.gated)
    buffers.wide_gate = builder.activation("wide_gate", 2 * spec.intermediate);
  if (wide) buffers.wide_up = builder.activation("wide_up", 2 * spec.intermediate);
  if (experts) add_expert_buffers(spec, builder, buffers);
  if (spec.layer_inputs > 0) add_layer_input_buffers(spec, builder, buffers);
  return buffers;
}

// @param into `normed`; or q, where a parallel feed-forward needs what is in `normed`: only where
//        heads make up the hidden size
ActivationId attention(BlockBuilder& block, ActivationId in, ActivationId into) {
  if (block.layer.delta) {
    add_delta_net(block, in, into);
  } else if (block.layer.state_space) {
    add_state_space(block, in, into);
  } else if (block.spec.latent.rank > 0) {
    add_latent_attention(block, in, into);
  } else {
    add_attention(block, in, into);
  }
  return into;
}

ActivationId dense(BlockBuilder& block, ActivationId in, ActivationId out) {
  block.feed_forward(in, out);
  return out;
}

// The norms' names are those of LLaMA, and of Gemma where there are more than two.
void add_residuals(BlockBuilder& block) {
  const Buffers& at = block.at;
  const auto norm = [&](const char* module) { block.norm(module, at.hidden, at.normed); };
  const auto norm_in_place = [&](const char* module, ActivationId x) { block.norm(module, x, x); };
  switch (block.spec.residual) {
    case Residual::PreNorm:
      if (block.layer.mixes) {
        norm("input_layernorm");
        block.add_residual(attention(block, at.normed, at.normed));
      }
      if (!block.layer.feeds) break;
      norm("post_attention_layernorm");
      if (block.layer.experts) {
        add_router(block, at.normed);
      } else {
        block.add_residual(dense(block, at.normed, at.normed));
      }
      break;
    case Residual::PostNorm:
      norm_in_place("post_attention_layernorm", attention(block, at.hidden, at.normed));
      block.add_residual(at.normed);
      norm_in_place("post_feedforward_layernorm", dense(block, at.hidden, at.normed));
      block.add_residual(at.normed);
      break;
    case Residual::Sandwich:
      norm("input_layernorm");
      norm_in_place("post_attention_layernorm", attention(block, at.normed, at.normed));
      block.add_residual(at.normed);
      if (block.layer.experts) {
        add_feed_forward_and_router(block);
        break;
      }
      norm("pre_feedforward_layernorm");
      norm_in_place("post_feedforward_layernorm", dense(block, at.normed, at.normed));
      block.add_residual(at.normed);
      break;
    case Residual::Parallel: {
      norm("input_layernorm");
      const ActivationId attended = attention(block, at.normed, at.q);
      norm("post_attention_layernorm");
      block.add_residual(dense(block, at.normed, at.normed));
      block.add_residual(attended);
      break;
    }
    case Residual::ParallelShared: {
      norm("input_layernorm");
      const ActivationId attended = attention(block, at.normed, at.q);
      block.add_residual(dense(block, at.normed, at.normed));
      block.add_residual(attended);
      break;
    }
  }
}

void add_embedding_norm(BlockBuilder& block) {
  const DecoderSpec& spec = block.spec;
  const auto vector = [&](const char* name) {
    return block.builder.param(block.unit, block.builder.vector(name, spec.hidden));
  };
  NormOp norm{block.at.hidden, block.at.hidden,  spec.norm,  vector("model.embed_norm.weight"), {},
              spec.epsilon,    spec.norm_offset, spec.hidden};
  if (spec.norm_bias) norm.bias = vector("model.embed_norm.bias");
  block.add(norm);
}

void end_layer(BlockBuilder& block) {
  if (block.spec.layer_inputs > 0) add_layer_input(block);
  if (block.spec.layer_factor) {
    block.add(FactorOp{block.at.hidden, block.float32("layer_scalar", 1)});
  }
}

// Makes the units of one layer: a block, and behind it its experts, and what joins them with what
// they are beside.
void add_layer(const DecoderSpec& spec, const Buffers& buffers, std::uint32_t layer,
               GraphBuilder& builder) {
  BlockBuilder block(spec, buffers, layer, builder);
  const bool scaled = spec.learned_positions || spec.layer_inputs > 0;  // in a unit before
  if (layer == 0 && !scaled && spec.embedding_scale != 1) {
    block.add(ScaleOp{buffers.hidden, spec.embedding_scale});
  }
  if (layer == 0 && spec.embedding_norm) add_embedding_norm(block);
  add_residuals(block);
  const bool beside = block.layer.experts && spec.experts.beside;
  if (!beside) end_layer(block);
  builder.unit(block.unit);
  if (block.layer.feeds && block.layer.experts) add_experts(block);
  if (!beside) return;
  const std::string name = block.unit.name + ".end";
  block.unit = Unit();
  block.unit.name = name;
  add_behind_experts(block);
  end_layer(block);
  builder.unit(block.unit);
}

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
  for (std::uint32_t index = 0; index < spec.layers.size(); ++index) {
    const LayerSpec& layer = spec.layers[index];
    if (layer.kv_layer && *layer.kv_layer >= index) {
      fail("layer {} would read the keys of layer {}, which is not before it", index,
           *layer.kv_layer);
    }
    for (const std::optional<std::uint32_t>& rotary : {layer.rotary, layer.query_rotary}) {
      if (rotary && *rotary >= spec.rotary.size()) {
        fail("a layer refers to rotary embedding {} of {}", *rotary, spec.rotary.size());
      }
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
  meta.delta = spec.delta;
  meta.state_space = spec.state_space;
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
  if (spec.layer_inputs > 0) {
    const std::uint64_t all = spec.layers.size() * spec.layer_inputs;
    builder.further_table(
        builder.matrix("model.embed_tokens_per_layer.weight", spec.vocabulary, all));
    add_layer_inputs(spec, buffers, builder);
  }
  if (spec.learned_positions) add_positions(spec, buffers, builder);
  for (std::uint32_t layer = 0; layer < spec.layers.size(); ++layer) {
    add_layer(spec, buffers, layer, builder);
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
