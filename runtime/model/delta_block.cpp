// The gated delta net (Yang et al. 2024, arXiv:2412.06464), as Qwen3-Next has it: queries, keys and
// values through a convolution each, the delta rule, a norm of each head that is gated.
#include "runtime/model/block_builder.h"

namespace initrt {
void add_delta_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const DeltaSizes& sizes = spec.delta;
  buffers.delta_q = builder.activation("delta_q", sizes.keys());
  buffers.delta_k = builder.activation("delta_k", sizes.keys());
  buffers.delta_v = builder.activation("delta_v", sizes.values());
  buffers.delta_z = builder.activation("delta_z", sizes.values());
  buffers.decay = builder.activation("decay", sizes.value_heads);
  buffers.beta = builder.activation("beta", sizes.value_heads);
}

void add_delta_net(BlockBuilder& block, ActivationId in, ActivationId into) {
  const Buffers& at = block.at;
  const DeltaSizes& sizes = block.spec.delta;
  block.linear("linear_attn.q_proj", in, at.delta_q, false);
  block.linear("linear_attn.k_proj", in, at.delta_k, false);
  block.linear("linear_attn.v_proj", in, at.delta_v, false);
  block.linear("linear_attn.z_proj", in, at.delta_z, false);
  block.linear("linear_attn.b_proj", in, at.beta, false);
  block.linear("linear_attn.a_proj", in, at.decay, false);
  block.convolution("linear_attn.q_conv", at.delta_q, sizes.taps, false);
  block.convolution("linear_attn.k_conv", at.delta_k, sizes.taps, false);
  block.convolution("linear_attn.v_conv", at.delta_v, sizes.taps, false);
  const ParamId a_log = block.float32("linear_attn.A_log", sizes.value_heads);
  const ParamId dt_bias = block.float32("linear_attn.dt_bias", sizes.value_heads);
  block.add(DeltaOp{at.delta_q, at.delta_k, at.delta_v, at.decay, at.beta, at.delta_v, a_log,
                    dt_bias, block.builder.state(), sizes.key_heads, sizes.value_heads,
                    sizes.key_size, sizes.value_size});
  block.norm("linear_attn.norm", at.delta_v, at.delta_v, NormKind::Rms, false, sizes.value_size);
  std::get<NormOp>(block.unit.ops.back()).weight_offset = 0;  // whatever the model's others have
  block.add(GateOp{at.delta_z, at.delta_v, at.delta_v, GateFunction::Silu});
  block.linear("linear_attn.out_proj", at.delta_v, into, false);
}

}  // namespace initrt
