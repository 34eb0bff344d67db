// Attention over keys and values of heads.
#include <cmath>

#include "runtime/model/block_builder.h"

namespace initrt {
namespace {

// A layer's heads: their activations and sizes.
struct Heads {
  HeadBuffers at;
  HeadSizes sizes;
};

Heads heads_of(const BlockBuilder& block) {
  const Buffers& at = block.at;
  if (block.layer.other_heads) return {at.other_heads, block.spec.other_heads};
  return {{at.q, at.k, at.v, at.attended}, {block.spec.kv_heads, block.spec.head_size}};
}

HeadBuffers head_buffers(const DecoderSpec& spec, const HeadSizes& sizes, GraphBuilder& builder,
                         const std::string& prefix) {
  const std::uint64_t q = std::uint64_t{spec.heads} * sizes.head_size;
  const std::uint64_t kv = std::uint64_t{sizes.kv_heads} * sizes.head_size;
  HeadBuffers buffers;
  buffers.q = builder.activation(prefix + "q", q);
  buffers.k = builder.activation(prefix + "k", kv);
  buffers.v = builder.activation(prefix + "v", kv);
  buffers.attended = builder.activation(prefix + "attended", q);
  return buffers;
}

void qk_norm(BlockBuilder& block, const char* module, ActivationId x, std::uint64_t head_size) {
  const DecoderSpec& spec = block.spec;
  if (spec.qk_norm == QkNorm::None || !block.layer.qk_norm) return;
  const std::uint64_t columns = block.builder.columns(x);
  const std::uint64_t group = spec.qk_norm == QkNorm::Whole ? columns : head_size;
  if (!spec.qk_norm_weights) {
    block.add(NormOp{x, x, spec.qk_norm_kind, {}, {}, spec.epsilon, 0.0f, group});
    return;
  }
  const auto sets = static_cast<std::uint32_t>(columns / group);
  block.norm(module, x, x, spec.qk_norm_kind, false, group,
             spec.qk_norm == QkNorm::EachHead ? sets : 0);
}

void qk_norms(BlockBuilder& block, const Heads& heads) {
  qk_norm(block, "self_attn.q_norm", heads.at.q, heads.sizes.head_size);
  if (block.layer.kv_layer) return;
  qk_norm(block, "self_attn.k_norm", heads.at.k, heads.sizes.head_size);
}

// Queries, keys and values, which all come from the same inputs.
void products(BlockBuilder& block, ActivationId in, const Heads& heads) {
  const DecoderSpec& spec = block.spec;
  const LayerSpec& layer = block.layer;
  // Checkpoints that interleave the halves do so in all layers, rotated or not.
  const bool any = !spec.rotary.empty();
  block.linear("self_attn.q_proj", in, heads.at.q, spec.qkv_bias, any ? spec.heads : 0);
  if (spec.gated_attention) {
    block.linear("self_attn.gate_proj", in, block.at.attention_gate, spec.qkv_bias);
  }
  if (layer.kv_layer) return;
  block.linear("self_attn.k_proj", in, heads.at.k, spec.qkv_bias, any ? heads.sizes.kv_heads : 0);
  if (!layer.values_of_keys) block.linear("self_attn.v_proj", in, heads.at.v, spec.qkv_bias);
}

void rotate(BlockBuilder& block, const Heads& heads) {
  const LayerSpec& layer = block.layer;
  const std::optional<std::uint32_t> of_queries =
      layer.query_rotary ? layer.query_rotary : layer.rotary;
  if (of_queries) block.add(RotaryOp{heads.at.q, heads.sizes.head_size, *of_queries});
  if (!layer.rotary || layer.kv_layer) return;
  block.add(RotaryOp{heads.at.k, heads.sizes.head_size, *layer.rotary});
}

AttentionOp attention_of(BlockBuilder& block, const Heads& heads) {
  const DecoderSpec& spec = block.spec;
  const LayerSpec& layer = block.layer;
  const std::uint32_t size = heads.sizes.head_size;
  AttentionOp op{
      heads.at.q,
      heads.at.k,
      heads.at.v,
      heads.at.attended,
      layer.kv_layer.value_or(block.index),
      spec.heads,
      heads.sizes.kv_heads,
      size,
      size,
      spec.attention_scale != 0 ? spec.attention_scale : 1.0f / std::sqrt(static_cast<float>(size)),
      spec.attention_softcap,
      layer.window};
  if (layer.kv_layer) op.k = op.v = std::nullopt;
  op.alibi = spec.alibi;
  op.chunks = layer.chunks;
  if (spec.sinks) op.sinks = block.float32("self_attn.sinks", spec.heads);
  return op;
}

}  // namespace

void add_attention_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const auto [q, k, v, attended] = head_buffers(spec, {spec.kv_heads, spec.head_size}, builder, "");
  buffers.q = q;
  buffers.k = k;
  buffers.v = v;
  buffers.attended = attended;
  if (spec.other_heads.head_size > 0) {
    buffers.other_heads = head_buffers(spec, spec.other_heads, builder, "other_");
  }
  if (spec.gated_attention) {
    buffers.attention_gate = builder.activation("attention_gate", builder.columns(q));
  }
}

void add_attention(BlockBuilder& block, ActivationId in, ActivationId into) {
  const DecoderSpec& spec = block.spec;
  const Heads heads = heads_of(block);
  const HeadBuffers& at = heads.at;
  products(block, in, heads);
  if (spec.value_norm && !block.layer.kv_layer) {
    block.add(NormOp{block.layer.values_of_keys ? at.k : at.v,
                     at.v,
                     NormKind::Rms,
                     {},
                     {},
                     spec.epsilon,
                     0.0f,
                     heads.sizes.head_size});
  }
  if (!spec.qk_norm_rotated) qk_norms(block, heads);
  rotate(block, heads);
  if (spec.qk_norm_rotated) qk_norms(block, heads);
  block.add(attention_of(block, heads));
  if (spec.gated_attention) {
    block.add(GateOp{block.at.attention_gate, at.attended, at.attended, GateFunction::Sigmoid});
  }
  block.linear("self_attn.o_proj", at.attended, into, spec.out_bias);
}

}  // namespace initrt
