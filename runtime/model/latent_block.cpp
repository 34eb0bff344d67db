// Multi-head latent attention (see LatentSizes).
#include "runtime/model/block_builder.h"

namespace initrt {
namespace {

// A product by heads, each of its own part of `in`.
void linear_of_heads(BlockBuilder& block, const char* module, ActivationId in, ActivationId out) {
  const ParamId weight = block.matrix(block.unit, module, block.builder.columns(out),
                                      block.builder.columns(in) / block.spec.heads);
  block.add(LinearOp{in, out, weight, {}, block.spec.heads});
}

void latent_norm(BlockBuilder& block, const char* module, ActivationId x) {
  constexpr float kEpsilon = 1e-6f;  // of the latents' norms, whatever the model's is
  block.norm(module, x, x, NormKind::Rms, false, block.builder.columns(x));
  std::get<NormOp>(block.unit.ops.back()).epsilon = kEpsilon;
}

}  // namespace

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

void add_latent_attention(BlockBuilder& block, ActivationId in, ActivationId into) {
  const DecoderSpec& spec = block.spec;
  const Buffers& at = block.at;
  const LatentSizes& sizes = spec.latent;
  ActivationId queries = in;
  if (sizes.query_rank > 0) {
    block.linear("self_attn.q_a_proj", in, at.q_latent, spec.qkv_bias);
    latent_norm(block, "self_attn.q_a_layernorm", at.q_latent);
    queries = at.q_latent;
  }
  block.linear("self_attn.q_nope_proj", queries, at.q_nope, false);
  block.linear("self_attn.q_rope_proj", queries, at.q_rope, false, spec.heads);
  block.linear("self_attn.kv_a_proj", in, at.latent, spec.qkv_bias);
  block.linear("self_attn.k_rope_proj", in, at.k_rope, spec.qkv_bias, 1);
  latent_norm(block, "self_attn.kv_a_layernorm", at.latent);
  block.add(RotaryOp{at.q_rope, sizes.rope, *block.layer.rotary});
  block.add(RotaryOp{at.k_rope, sizes.rope, *block.layer.rotary});
  linear_of_heads(block, "self_attn.k_b_proj", at.q_nope, at.q_absorbed);
  block.add(JoinOp{at.q_absorbed, at.q_rope, at.q, spec.heads});
  block.add(JoinOp{at.latent, at.k_rope, at.k, 1});
  block.add(AttentionOp{at.q,
                        at.k,
                        {},
                        at.q_absorbed,
                        block.index,
                        spec.heads,
                        1,
                        sizes.rank + sizes.rope,
                        sizes.rank,
                        spec.attention_scale});
  linear_of_heads(block, "self_attn.v_b_proj", at.q_absorbed, at.attended);
  block.linear("self_attn.o_proj", at.attended, into, spec.out_bias);
}

}  // namespace initrt
