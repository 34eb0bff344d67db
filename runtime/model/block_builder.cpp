#include "runtime/model/block_builder.h"

namespace initrt {

BlockBuilder::BlockBuilder(const DecoderSpec& decoder, const Buffers& buffers, std::uint32_t number,
                           GraphBuilder& into)
    : spec(decoder),
      at(buffers),
      builder(into),
      index(number),
      layer(decoder.layers[number]),
      prefix("model.layers." + std::to_string(number) + ".") {
  unit.name = "block." + std::to_string(number);
}

ParamId BlockBuilder::matrix(Unit& of, const std::string& module, std::uint64_t rows,
                             std::uint64_t columns, std::uint32_t rotary_heads) {
  return builder.param(of,
                       builder.matrix(prefix + module + ".weight", rows, columns, rotary_heads));
}

std::optional<ParamId> BlockBuilder::bias(bool wanted, const std::string& module,
                                          std::uint64_t rows, std::uint32_t rotary_heads) {
  if (!wanted) return {};
  return builder.param(unit, builder.vector(prefix + module + ".bias", rows, rotary_heads));
}

ParamId BlockBuilder::float32(const std::string& name, std::uint64_t elements) {
  const std::uint32_t tensor = builder.vector(prefix + name, elements);
  builder.keep_float32(tensor);
  return builder.param(unit, tensor);
}

void BlockBuilder::linear(const std::string& module, ActivationId in, ActivationId out,
                          bool with_bias, std::uint32_t rotary_heads) {
  const std::uint64_t rows = builder.columns(out);
  const ParamId weight = matrix(unit, module, rows, builder.columns(in), rotary_heads);
  add(LinearOp{in, out, weight, bias(with_bias, module, rows, rotary_heads)});
}

void BlockBuilder::norm(const std::string& module, ActivationId in, ActivationId out, NormKind kind,
                        bool with_bias, std::uint64_t group, std::uint32_t sets) {
  const std::string name = prefix + module + ".weight";
  const ParamId weight = builder.param(
      unit, sets > 0 ? builder.heads(name, sets, group) : builder.vector(name, group));
  add(NormOp{in, out, kind, weight, bias(with_bias, module, group), spec.epsilon, spec.norm_offset,
             group});
}

void BlockBuilder::convolution(const std::string& module, ActivationId x, std::uint32_t taps,
                               bool with_bias) {
  const std::uint64_t columns = builder.columns(x);
  ConvolutionOp op{x, matrix(unit, module, taps, columns), builder.state()};
  if (with_bias) op.bias = float32(module + ".bias", columns);
  add(op);
}

void BlockBuilder::add_residual(ActivationId x) {
  if (spec.residual_scale != 1) add(ScaleOp{x, spec.residual_scale});
  add(AddOp{x, at.hidden});
}

void BlockBuilder::feed_forward(ActivationId in, ActivationId out) {
  feed_forward("mlp.", in, layer.wide ? at.wide_gate : at.gate, layer.wide ? at.wide_up : at.up,
               out, spec.mlp_bias);
}

void BlockBuilder::feed_forward(const std::string& module, ActivationId in, ActivationId gate,
                                ActivationId up, ActivationId out, bool with_bias) {
  if (spec.gated) linear(module + "gate_proj", in, gate, with_bias);
  linear(module + "up_proj", in, up, with_bias);
  if (spec.gated) {
    add(GateOp{gate, up, gate, gating()});
  } else {
    add(GateOp{up, {}, up, spec.function});
  }
  linear(module + "down_proj", spec.gated ? gate : up, out, with_bias);
}

}  // namespace initrt
