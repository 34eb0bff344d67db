// What each layer is told of a token besides what the layers before it made (per-layer embeddings,
// as Gemma 3n has them): a row of a table of its own, and a part of a product of the embedding.
#include <cmath>

#include "runtime/model/block_builder.h"

namespace initrt {
namespace {

float root_of(std::uint64_t size) { return std::sqrt(static_cast<float>(size)); }

}  // namespace

void add_layer_input_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers) {
  const std::uint64_t all = spec.layers.size() * spec.layer_inputs;
  buffers.embedded = builder.activation("embedded", spec.hidden + all);
  buffers.layer_rows = builder.activation("layer_rows", all);
  buffers.layer_inputs = builder.activation("layer_inputs", all);
  buffers.layer_input = builder.activation("layer_input", spec.layer_inputs);
  buffers.layer_gate = builder.activation("layer_gate", spec.layer_inputs);
  builder.embedded(buffers.embedded);
}

void add_layer_inputs(const DecoderSpec& spec, const Buffers& buffers, GraphBuilder& builder) {
  const std::uint64_t all = builder.columns(buffers.layer_inputs);
  const ActivationId inputs = buffers.layer_inputs;
  Unit unit;
  unit.name = "layer_inputs";
  const auto add = [&](Op op) { unit.ops.push_back(op); };
  add(SliceOp{buffers.embedded, buffers.hidden, 0});
  add(SliceOp{buffers.embedded, buffers.layer_rows, spec.hidden});
  add(ScaleOp{buffers.hidden, spec.embedding_scale});
  const std::uint32_t product =
      builder.matrix("model.per_layer_model_projection.weight", all, spec.hidden);
  add(LinearOp{buffers.hidden, inputs, builder.param(unit, product), {}});
  add(ScaleOp{inputs, 1.0f / root_of(spec.hidden)});
  const std::uint32_t norm =
      builder.vector("model.per_layer_projection_norm.weight", spec.layer_inputs);
  add(NormOp{inputs,
             inputs,
             spec.norm,
             builder.param(unit, norm),
             {},
             spec.epsilon,
             spec.norm_offset,
             spec.layer_inputs});
  add(ScaleOp{buffers.layer_rows, root_of(spec.layer_inputs)});
  add(AddOp{buffers.layer_rows, inputs});
  add(ScaleOp{inputs, 1.0f / std::sqrt(2.0f)});
  builder.unit(std::move(unit));
}

void add_layer_input(BlockBuilder& block) {
  const Buffers& at = block.at;
  block.add(SliceOp{at.layer_inputs, at.layer_input, block.index * block.spec.layer_inputs});
  block.linear("per_layer_input_gate", at.hidden, at.layer_gate, false);
  block.add(GateOp{at.layer_gate, at.layer_input, at.layer_gate, block.spec.function});
  block.linear("per_layer_projection", at.layer_gate, at.normed, false);
  block.norm("post_per_layer_input_norm", at.normed, at.normed);
  block.add_residual(at.normed);
}

}  // namespace initrt
