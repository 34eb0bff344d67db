// Mamba 2's layer (Dao and Gu 2024, arXiv:2405.21060): one product makes a gate z, and x, b, c and
// step, of which x, b and c go through a convolution; the state space; a norm of each group of what
// is gated.
#include "runtime/model/block_builder.h"

namespace initrt {
void add_state_space_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const StateSpaceSizes& sizes = spec.state_space;
  buffers.space_z = builder.activation("space_z", sizes.inner());
  buffers.space_x = builder.activation("space_x", sizes.inner());
  buffers.space_b = builder.activation("space_b", sizes.of_groups());
  buffers.space_c = builder.activation("space_c", sizes.of_groups());
  buffers.space_step = builder.activation("space_step", sizes.heads);
  buffers.space_decay = builder.activation("space_decay", sizes.heads);
}

void add_state_space(BlockBuilder& block, ActivationId in, ActivationId into) {
  const Buffers& at = block.at;
  const DecoderSpec& spec = block.spec;
  const StateSpaceSizes& sizes = spec.state_space;
  block.linear("mamba.z_proj", in, at.space_z, spec.state_space_bias);
  block.linear("mamba.x_proj", in, at.space_x, spec.state_space_bias);
  block.linear("mamba.b_proj", in, at.space_b, spec.state_space_bias);
  block.linear("mamba.c_proj", in, at.space_c, spec.state_space_bias);
  block.linear("mamba.step_proj", in, at.space_step, spec.state_space_bias);
  block.convolution("mamba.x_conv", at.space_x, sizes.taps, spec.convolution_bias);
  block.convolution("mamba.b_conv", at.space_b, sizes.taps, spec.convolution_bias);
  block.convolution("mamba.c_conv", at.space_c, sizes.taps, spec.convolution_bias);
  const ParamId a_log = block.float32("mamba.A_log", sizes.heads);
  const ParamId dt_bias = block.float32("mamba.dt_bias", sizes.heads);
  const ParamId d = block.float32("mamba.D", sizes.heads);
  block.add(StateSpaceOp{at.space_x, at.space_b, at.space_c, at.space_step, at.space_decay,
                         at.space_x, a_log, dt_bias, d, block.builder.state(), sizes.groups,
                         sizes.heads, sizes.state_size, sizes.head_size});
  block.add(GateOp{at.space_z, at.space_x, at.space_x, GateFunction::Silu});
  const ParamId weight = block.builder.param(
      block.unit, block.builder.vector(block.prefix + "mamba.norm.weight", sizes.inner()));
  block.add(NormOp{at.space_x,
                   at.space_x,
                   NormKind::Rms,
                   weight,
                   {},
                   spec.epsilon,
                   0,
                   sizes.inner() / sizes.groups});
  block.linear("mamba.out_proj", at.space_x, into, spec.state_space_bias);
}

}  // namespace initrt
