// Attention over keys and values of heads.
#include <cmath>

#include "runtime/model/block_builder.h"

namespace initrt {
namespace {

void qk_norm(BlockBuilder& block, const char* module, ActivationId x) {
  const DecoderSpec& spec = block.spec;
  if (spec.qk_norm == QkNorm::None || !block.layer.qk_norm) return;
  const std::uint64_t columns = block.builder.columns(x);
  const std::uint64_t group = spec.qk_norm == QkNorm::Whole ? columns : spec.head_size;
  if (!spec.qk_norm_weights) {
    block.add(NormOp{x, x, spec.qk_norm_kind, {}, {}, spec.epsilon, 0.0f, group});
    return;
  }
  const auto sets = static_cast<std::uint32_t>(columns / group);
  block.norm(module, x, x, spec.qk_norm_kind, false, group,
             spec.qk_norm == QkNorm::EachHead ? sets : 0);
}

void qk_norms(BlockBuilder& block) {
  qk_norm(block, "self_attn.q_norm", block.at.q);
  qk_norm(block, "self_attn.k_norm", block.at.k);
}

}  // namespace

void add_attention_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const std::uint64_t q = std::uint64_t{spec.heads} * spec.head_size;
  const std::uint64_t kv = std::uint64_t{spec.kv_heads} * spec.head_size;
  buffers.q = builder.activation("q", q);
  buffers.k = builder.activation("k", kv);
  buffers.v = builder.activation("v", kv);
  buffers.attended = builder.activation("attended", q);
  if (spec.gated_attention) buffers.attention_gate = builder.activation("attention_gate", q);
}

void add_attention(BlockBuilder& block, ActivationId in, ActivationId into) {
  const DecoderSpec& spec = block.spec;
  const Buffers& at = block.at;
  const LayerSpec& layer = block.layer;
  // Checkpoints that interleave the halves do so in all layers, rotated or not.
  const bool any = !spec.rotary.empty();
  block.linear("self_attn.q_proj", in, at.q, spec.qkv_bias, any ? spec.heads : 0);
  if (spec.gated_attention) {
    block.linear("self_attn.gate_proj", in, at.attention_gate, spec.qkv_bias);
  }
  block.linear("self_attn.k_proj", in, at.k, spec.qkv_bias, any ? spec.kv_heads : 0);
  block.linear("self_attn.v_proj", in, at.v, spec.qkv_bias);
  if (!spec.qk_norm_rotated) qk_norms(block);
  const std::optional<std::uint32_t> of_queries =
      layer.query_rotary ? layer.query_rotary : layer.rotary;
  if (of_queries) block.add(RotaryOp{at.q, spec.head_size, *of_queries});
  if (layer.rotary) block.add(RotaryOp{at.k, spec.head_size, *layer.rotary});
  if (spec.qk_norm_rotated) qk_norms(block);
  const float scale = spec.attention_scale != 0
                          ? spec.attention_scale
                          : 1.0f / std::sqrt(static_cast<float>(spec.head_size));
  AttentionOp op{at.q,
                 at.k,
                 at.v,
                 at.attended,
                 block.index,
                 spec.heads,
                 spec.kv_heads,
                 spec.head_size,
                 spec.head_size,
                 scale,
                 spec.attention_softcap,
                 layer.window};
  op.alibi = spec.alibi;
  op.chunks = layer.chunks;
  if (spec.sinks) op.sinks = block.float32("self_attn.sinks", spec.heads);
  block.add(op);
  if (spec.gated_attention) {
    block.add(GateOp{at.attention_gate, at.attended, at.attended, GateFunction::Sigmoid});
  }
  block.linear("self_attn.o_proj", at.attended, into, spec.out_bias);
}

}  // namespace initrt
