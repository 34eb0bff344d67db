// One block on its way into the graph: what its parts, a file each, add their ops with, and the
// activations that all blocks share.
#pragma once

#include <optional>
#include <string>

#include "runtime/model/decoder.h"
#include "runtime/model/graph_builder.h"

namespace initrt {

struct HeadBuffers {
  ActivationId q = 0, k = 0, v = 0, attended = 0;
};

/// Those that a decoder has no use for are 0.
struct Buffers {
  ActivationId hidden = 0, normed = 0, attended = 0;
  ActivationId q = 0, k = 0, v = 0, attention_gate = 0;
  HeadBuffers other_heads;
  ActivationId q_latent = 0, q_nope = 0, q_rope = 0, q_absorbed = 0, latent = 0, k_rope = 0;
  ActivationId delta_q = 0, delta_k = 0, delta_v = 0, delta_z = 0, decay = 0, beta = 0;
  ActivationId space_z = 0, space_x = 0, space_b = 0, space_c = 0;
  ActivationId space_step = 0, space_decay = 0;
  ActivationId gate = 0, up = 0, wide_gate = 0, wide_up = 0;
  ActivationId beside = 0, routed = 0;  ///< what a feed-forward made, and experts beside it
  /// A token's rows of all tables; what all layers are told; what one is.
  ActivationId embedded = 0, layer_rows = 0, layer_inputs = 0, layer_input = 0, layer_gate = 0;
  ActivationId scores = 0, taken = 0, expert_gate = 0, expert_up = 0;
  ActivationId shared_gate = 0, shared_up = 0, shared_score = 0, shared_out = 0;
  ActivationId expert_latent = 0, expert_sum = 0;
};

/// Adds the buffers of a decoder's parts.
void add_attention_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers);
void add_latent_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers);
void add_delta_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers);
void add_state_space_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers);
void add_expert_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers);
void add_layer_input_buffers(const DecoderSpec& spec, GraphBuilder& builder, Buffers& buffers);

struct BlockBuilder {
  const DecoderSpec& spec;
  const Buffers& at;
  GraphBuilder& builder;
  const std::uint32_t index;  ///< of the layer
  const LayerSpec& layer;
  const std::string prefix;  ///< of its tensors' names
  Unit unit;

  BlockBuilder(const DecoderSpec& decoder, const Buffers& buffers, std::uint32_t number,
               GraphBuilder& into);

  void add(Op op) { unit.ops.push_back(op); }

  ParamId matrix(Unit& of, const std::string& module, std::uint64_t rows, std::uint64_t columns,
                 std::uint32_t rotary_heads = 0);
  std::optional<ParamId> bias(bool wanted, const std::string& module, std::uint64_t rows,
                              std::uint32_t rotary_heads = 0);
  /// A vector that stays in float32. @param name without the prefix
  ParamId float32(const std::string& name, std::uint64_t elements);

  /// out = W in + b.
  void linear(const std::string& module, ActivationId in, ActivationId out, bool with_bias,
              std::uint32_t rotary_heads = 0);

  /// @param sets of weights, one for each group; 0: one for all of them
  void norm(const std::string& module, ActivationId in, ActivationId out, NormKind kind,
            bool with_bias, std::uint64_t group, std::uint32_t sets = 0);
  /// The family's norm of the hidden size.
  void norm(const std::string& module, ActivationId in, ActivationId out) {
    norm(module, in, out, spec.norm, spec.norm_bias, spec.hidden);
  }

  /// A convolution of x in place, over its last `taps` rows.
  void convolution(const std::string& module, ActivationId x, std::uint32_t taps, bool with_bias);
  /// hidden += residual_scale · x.
  void add_residual(ActivationId x);

  /// out = the layer's feed-forward of `in`.
  void feed_forward(ActivationId in, ActivationId out);

  [[nodiscard]] Gating gating() const { return {spec.function, spec.gate_limit, spec.up_offset}; }
  /// out = feed_forward(in), as DecoderSpec::gated says. @param module with its dot
  /// @param gate not looked at where nothing is gated
  void feed_forward(const std::string& module, ActivationId in, ActivationId gate, ActivationId up,
                    ActivationId out, bool with_bias);
};

/// What a layer looks at other positions with: attention, latent attention, a gated delta net or a
/// state space.
/// @param into where it goes
void add_attention(BlockBuilder& block, ActivationId in, ActivationId into);
void add_latent_attention(BlockBuilder& block, ActivationId in, ActivationId into);
void add_delta_net(BlockBuilder& block, ActivationId in, ActivationId into);
void add_state_space(BlockBuilder& block, ActivationId in, ActivationId into);

/// Adds the unit that makes what layers are told (DecoderSpec::layer_inputs), and what one makes of
/// it.
void add_layer_inputs(const DecoderSpec& spec, const Buffers& buffers, GraphBuilder& builder);
void add_layer_input(BlockBuilder& block);

/// Adds what is beside experts, and their router, to the block, whose last op that is.
void add_router(BlockBuilder& block, ActivationId in);
/// Adds a feed-forward and the router of experts beside it to the block, whose last op that is, and
/// to the unit behind them what joins both.
void add_feed_forward_and_router(BlockBuilder& block);
void add_behind_experts(BlockBuilder& block);
/// Adds the units of a layer's experts, behind its block, and of what is made of their sum.
void add_experts(BlockBuilder& block);

}  // namespace initrt
