// Experts that each row chooses some of, and what all rows go through beside them.
#include <cmath>

#include "runtime/model/block_builder.h"

namespace initrt {
namespace {

// An expert works on what the block's last norm left in `normed`, and adds to `hidden`, or to
// `routed` where experts are beside a feed-forward.
void add_expert(BlockBuilder& block, std::uint32_t index) {
  const Buffers& at = block.at;
  const std::string module = "mlp.experts." + std::to_string(index) + ".";
  Unit unit;
  unit.name = block.unit.name + ".expert." + std::to_string(index);
  unit.kind = UnitKind::Expert;
  const bool weigh_inputs = block.spec.experts.weigh_inputs, beside = block.spec.experts.beside;
  unit.ops.emplace_back(TakeRowsOp{at.normed, at.taken, weigh_inputs});
  const auto product = [&](const char* name, ActivationId in, ActivationId out) {
    const std::uint64_t rows = block.builder.columns(out);
    LinearOp op{in, out, block.matrix(unit, module + name, rows, block.builder.columns(in)), {}};
    if (block.spec.experts.bias) {
      op.bias = block.builder.param(
          unit, block.builder.vector(block.prefix + module + name + ".bias", rows));
    }
    unit.ops.emplace_back(op);
  };
  product("gate_proj", at.taken, at.expert_gate);
  product("up_proj", at.taken, at.expert_up);
  unit.ops.emplace_back(GateOp{at.expert_gate, at.expert_up, at.expert_gate, block.gating()});
  product("down_proj", at.expert_gate, at.taken);
  unit.ops.emplace_back(AddRowsOp{at.taken, beside ? at.routed : at.hidden, !weigh_inputs});
  block.builder.unit(std::move(unit));
}

}  // namespace

void add_expert_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const ExpertsSpec& experts = spec.experts;
  buffers.scores = builder.activation("scores", experts.routing.experts);
  buffers.taken = builder.activation("taken", spec.hidden);
  buffers.expert_gate = builder.activation("expert_gate", experts.intermediate);
  buffers.expert_up = builder.activation("expert_up", experts.intermediate);
  if (experts.beside) {
    buffers.beside = builder.activation("beside", spec.hidden);
    buffers.routed = builder.activation("routed", spec.hidden);
  }
  if (experts.shared == 0) return;
  buffers.shared_gate = builder.activation("shared_gate", experts.shared);
  buffers.shared_up = builder.activation("shared_up", experts.shared);
  if (experts.shared_gate) buffers.shared_score = builder.activation("shared_score", 1);
}

void add_router(BlockBuilder& block, ActivationId in) {
  const Buffers& at = block.at;
  const ExpertsSpec& experts = block.spec.experts;
  // Before the scores: experts read what is in `in`, and where rows move they are there already.
  if (experts.shared > 0) {
    block.gated("mlp.shared_experts.", in, at.shared_gate, at.shared_up, at.taken, false);
    if (experts.shared_gate) {
      block.linear("mlp.shared_expert_gate", in, at.shared_score, false);
      block.add(RowGateOp{at.taken, at.shared_score});
    }
    block.add_residual(at.taken);
  }
  block.linear("mlp.gate", in, at.scores, experts.router_bias);
  RouteOp route{at.scores, experts.routing};
  route.routing.scale *= block.spec.residual_scale;
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
}

}  // namespace initrt
