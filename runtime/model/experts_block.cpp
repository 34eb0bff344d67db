// Experts that each row chooses some of, and what all rows go through beside them.
#include "runtime/model/block_builder.h"

namespace initrt {
namespace {

// An expert works on what the block's last norm left in `normed`, and adds to `hidden`.
void add_expert(BlockBuilder& block, std::uint32_t index) {
  const Buffers& at = block.at;
  const std::string module = "mlp.experts." + std::to_string(index) + ".";
  Unit unit;
  unit.name = block.unit.name + ".expert." + std::to_string(index);
  unit.kind = UnitKind::Expert;
  const bool weigh_inputs = block.spec.experts.weigh_inputs;
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
  unit.ops.emplace_back(AddRowsOp{at.taken, at.hidden, !weigh_inputs});
  block.builder.unit(std::move(unit));
}

}  // namespace

void add_expert_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const ExpertsSpec& experts = spec.experts;
  buffers.scores = builder.activation("scores", experts.routing.experts);
  buffers.taken = builder.activation("taken", spec.hidden);
  buffers.expert_gate = builder.activation("expert_gate", experts.intermediate);
  buffers.expert_up = builder.activation("expert_up", experts.intermediate);
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

void add_experts(BlockBuilder& block) {
  for (std::uint32_t e = 0; e < block.spec.experts.routing.experts; ++e) add_expert(block, e);
}

}  // namespace initrt
