// Experts that each row chooses some of, and what all rows go through beside them.
#include <cmath>

#include "runtime/model/block_builder.h"

namespace initrt {
namespace {

// An expert works on what the block's last norm left in `normed`, and adds to `hidden`, or to
// `routed` where experts are beside a feed-forward; or on a latent of it, and adds to a sum.
void add_expert(BlockBuilder& block, std::uint32_t index) {
  const Buffers& at = block.at;
  const std::string module = "mlp.experts." + std::to_string(index) + ".";
  Unit unit;
  unit.name = block.unit.name + ".expert." + std::to_string(index);
  unit.kind = UnitKind::Expert;
  const bool latent = block.spec.experts.latent > 0;
  const bool weigh_inputs = block.spec.experts.weigh_inputs, beside = block.spec.experts.beside;
  unit.params.reserve(3 * (block.spec.experts.bias ? 2 : 1));  // a model may have many experts
  unit.ops.reserve(6);
  unit.ops.emplace_back(TakeRowsOp{latent ? at.expert_latent : at.normed, at.taken, weigh_inputs});
  const auto product = [&](const char* name, ActivationId in, ActivationId out) {
    const std::uint64_t rows = block.builder.columns(out);
    LinearOp op{in, out, block.matrix(unit, module + name, rows, block.builder.columns(in)), {}};
    if (block.spec.experts.bias) {
      op.bias = block.builder.param(
          unit, block.builder.vector(block.prefix + module + name + ".bias", rows));
    }
    unit.ops.emplace_back(op);
  };
  if (block.spec.gated) product("gate_proj", at.taken, at.expert_gate);
  product("up_proj", at.taken, at.expert_up);
  if (block.spec.gated) {
    unit.ops.emplace_back(GateOp{at.expert_gate, at.expert_up, at.expert_gate, block.gating()});
  } else {
    unit.ops.emplace_back(GateOp{at.expert_up, {}, at.expert_up, block.spec.function});
  }
  product("down_proj", block.spec.gated ? at.expert_gate : at.expert_up, at.taken);
  const ActivationId into = latent ? at.expert_sum : beside ? at.routed : at.hidden;
  unit.ops.emplace_back(AddRowsOp{at.taken, into, !weigh_inputs});
  block.builder.unit(std::move(unit));
}

}  // namespace

void add_expert_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const ExpertsSpec& experts = spec.experts;
  buffers.scores = builder.activation("scores", experts.routing.experts);
  buffers.taken = builder.activation("taken", experts.latent > 0 ? experts.latent : spec.hidden);
  if (experts.latent > 0) {
    buffers.expert_latent = builder.activation("expert_latent", experts.latent);
    buffers.expert_sum = builder.activation("expert_sum", experts.latent);
  }
  if (spec.gated) buffers.expert_gate = builder.activation("expert_gate", experts.intermediate);
  buffers.expert_up = builder.activation("expert_up", experts.intermediate);
  if (experts.beside) {
    buffers.beside = builder.activation("beside", spec.hidden);
    buffers.routed = builder.activation("routed", spec.hidden);
  }
  if (experts.shared == 0) return;
  if (spec.gated) buffers.shared_gate = builder.activation("shared_gate", experts.shared);
  buffers.shared_up = builder.activation("shared_up", experts.shared);
  buffers.shared_out = buffers.taken;  // which nobody needs yet
  if (experts.latent > 0) buffers.shared_out = builder.activation("shared_out", spec.hidden);
  if (experts.shared_gate) buffers.shared_score = builder.activation("shared_score", 1);
}

void add_router(BlockBuilder& block, ActivationId in) {
  const Buffers& at = block.at;
  const ExpertsSpec& experts = block.spec.experts;
  // Before the scores: experts read what is in `in`, and where rows move they are there already.
  if (experts.shared > 0) {
    block.feed_forward("mlp.shared_experts.", in, at.shared_gate, at.shared_up, at.shared_out,
                       block.spec.mlp_bias);
    if (experts.shared_gate) {
      block.linear("mlp.shared_expert_gate", in, at.shared_score, false);
      block.add(RowGateOp{at.shared_out, at.shared_score});
    }
    block.add_residual(at.shared_out);
  }
  block.linear("mlp.gate", in, at.scores, experts.router_bias);
  if (experts.latent > 0) {
    block.linear("mlp.latent_in_proj", in, at.expert_latent, block.spec.mlp_bias);
    block.add(ScaleOp{at.expert_sum, 0});
  }
  RouteOp route{at.scores, experts.routing};
  if (experts.latent == 0) route.routing.scale *= block.spec.residual_scale;
  if (experts.correction) {
    route.correction = block.float32("mlp.gate.e_score_correction_bias", experts.routing.experts);
  }
  block.add(route);
}

void add_feed_forward_and_router(BlockBuilder& block) {
  const DecoderSpec& spec = block.spec;
  const Buffers& at = block.at;
  block.norm("pre_feedforward_layernorm", at.hidden, at.normed);
  block.feed_forward(at.normed, at.beside);
  block.norm("post_feedforward_layernorm_1", at.beside, at.beside);
  const std::uint32_t scale = block.builder.vector(block.prefix + "router.scale", spec.hidden);
  block.add(NormOp{at.hidden,
                   at.normed,
                   NormKind::Rms,
                   block.builder.param(block.unit, scale),
                   {},
                   spec.epsilon,
                   0.0f,
                   spec.hidden});
  block.add(ScaleOp{at.normed, 1.0f / std::sqrt(static_cast<float>(spec.hidden))});
  block.linear("mlp.gate", at.normed, at.scores, false);
  block.norm("pre_feedforward_layernorm_2", at.hidden, at.normed);
  block.add(ScaleOp{at.routed, 0});
  RouteOp route{at.scores, spec.experts.routing};
  route.factors = block.float32("router.per_expert_scale", spec.experts.routing.experts);
  block.add(route);
}

void add_behind_experts(BlockBuilder& block) {
  const Buffers& at = block.at;
  block.norm("post_feedforward_layernorm_2", at.routed, at.routed);
  block.add(AddOp{at.beside, at.routed});
  block.norm("post_feedforward_layernorm", at.routed, at.routed);
  block.add_residual(at.routed);
}

void add_experts(BlockBuilder& block) {
  for (std::uint32_t e = 0; e < block.spec.experts.routing.experts; ++e) add_expert(block, e);
  if (block.spec.experts.latent == 0) return;
  BlockBuilder behind(block.spec, block.at, block.index, block.builder);
  behind.unit.name = block.unit.name + ".experts";
  behind.linear("mlp.latent_out_proj", block.at.expert_sum, block.at.normed, block.spec.mlp_bias);
  behind.add_residual(block.at.normed);
  block.builder.unit(std::move(behind.unit));
}

}  // namespace initrt
