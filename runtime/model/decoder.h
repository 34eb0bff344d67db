// The decoder that all families are made of: what differs between them are choices of norm, rotary
// embedding, attention, feed-forward, experts and the order of residuals, each on its own. A family
// turns a model config into these choices; build_decoder() makes the graph of any of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sharding/graph.h"

namespace initrt {

/// What is added to the hidden state, and of what it is made.
enum class Residual : std::uint8_t {
  PreNorm,         ///< x += attention(norm(x)); x += feed_forward(norm(x))
  PostNorm,        ///< x += norm(attention(x)); x += norm(feed_forward(x))
  Sandwich,        ///< x += norm(attention(norm(x))); x += norm(feed_forward(norm(x)))
  Parallel,        ///< x += attention(norm(x)) + feed_forward(other norm(x))
  ParallelShared,  ///< y = norm(x); x += attention(y) + feed_forward(y)
};

enum class QkNorm : std::uint8_t {
  None,
  Heads,     ///< each head on its own, all with the same weights
  EachHead,  ///< each head on its own, with weights of its own
  Whole,     ///< all heads together
};

/// KV heads, and elements of each head.
struct HeadSizes {
  std::uint32_t kv_heads = 0, head_size = 0;
};

struct LayerSpec {
  std::optional<std::uint32_t> rotary = 0;      ///< index into DecoderSpec::rotary
  std::optional<std::uint32_t> query_rotary{};  ///< of Q, where it has another, or alone has one
  bool qk_norm = true;                          ///< where the model has one
  std::uint32_t window = 0;                     ///< positions that attention sees; 0: all
  bool chunks = false;                          ///< they are those of AttentionShape::chunks
  bool other_heads = false;                     ///< of DecoderSpec::other_heads
  bool values_of_keys = false;  ///< values are what keys are made of too; with value_norm
  /// The layer, one before this, whose keys and values are read; it has none of its own then.
  std::optional<std::uint32_t> kv_layer{};
  bool wide = false;         ///< its feed-forward is twice as wide
  bool delta = false;        ///< a gated delta net instead of attention
  bool state_space = false;  ///< Mamba 2's layer instead of attention
  bool experts = false;      ///< instead of one feed-forward
  /// PreNorm layers alone may be one of the two, with one norm: attention or what is in its place,
  /// or what feeds forward.
  bool mixes = true, feeds = true;
};

struct ExpertsSpec {
  Routing routing = {.normalize = true};
  std::uint64_t intermediate = 0;
  bool correction = false;    ///< a vector is added to scores where experts are chosen
  bool router_bias = false;   ///< the scores have one
  bool bias = false;          ///< the experts' matrices have one each
  bool weigh_inputs = false;  ///< rows are weighted on their way in, not what experts make of them
  /// They are beside the layer's feed-forward, not instead of it, with norms of their own on both
  /// sides, and so is what rows choose them by (Gemma 4).
  bool beside = false;
  /// Intermediate size of what every row goes through beside the experts that it chooses; 0: none.
  std::uint64_t shared = 0;
  bool shared_gate = false;  ///< that is multiplied with the sigmoid of a product of the row
  /// Elements that experts work on: a product of the row, and of their sum another makes what is
  /// added; 0: the hidden size, and no such products.
  std::uint64_t latent = 0;
};

struct DecoderSpec {
  std::string family;
  std::uint64_t hidden = 0, intermediate = 0, vocabulary = 0, context = 0;
  std::uint32_t heads = 0, kv_heads = 0, head_size = 0;
  HeadSizes other_heads;          ///< of the layers that have others
  LatentSizes latent;             ///< instead of keys and values of heads
  DeltaSizes delta;               ///< of the layers that have one
  StateSpaceSizes state_space;    ///< likewise
  bool state_space_bias = false;  ///< its first product and its last have one each
  bool convolution_bias = false;  ///< of what goes into the state space
  std::vector<LayerSpec> layers;

  NormKind norm = NormKind::Rms;
  bool norm_bias = false;
  float epsilon = 1e-6f;
  float norm_offset = 0.0f;  ///< added to the weights of all norms
  QkNorm qk_norm = QkNorm::None;
  NormKind qk_norm_kind = NormKind::Rms;
  bool qk_norm_weights = true;
  bool value_norm = false;       ///< heads of V are normalised, without weights
  bool qk_norm_rotated = false;  ///< what is normalised has been rotated
  Residual residual = Residual::PreNorm;

  std::vector<RotarySpec> rotary;
  bool learned_positions = false;  ///< a table of `context` rows is added to the embedding
  float embedding_scale = 1.0f;
  bool embedding_norm = false;
  /// Elements of what each layer is told of a token besides: a row of a table of its own with what
  /// a product makes of the embedding (Gemma 3n); 0: nothing.
  std::uint64_t layer_inputs = 0;
  float residual_scale = 1.0f;  ///< of what attention and feed-forward add
  bool layer_factor = false;    ///< each layer's result is multiplied with a number of its own

  bool qkv_bias = false, out_bias = false;
  bool gated_attention = false;  ///< what it gives is multiplied with sigmoids of a product
  bool sinks = false;            ///< each head has a score that no value goes with
  float attention_scale = 0.0f;  ///< 0: 1 / sqrt(head_size)
  float attention_softcap = 0.0f;
  Alibi alibi;

  /// feed_forward(x) = down(gating(gate(x), up(x))), else down(function(up(x))); experts likewise.
  bool gated = true;
  bool mlp_bias = false;
  GateFunction function = GateFunction::Silu;
  float gate_limit = 0.0f, up_offset = 0.0f;  ///< as of Gating
  ExpertsSpec experts;

  bool tied = false;  ///< the embedding is also the head
  bool head_bias = false;
  float logit_scale = 1.0f;
  float logit_softcap = 0.0f;

  HfNames hf_names;
};

/// The graph of a decoder. @throws Error where the sizes do not go together
[[nodiscard]] Graph build_decoder(const DecoderSpec& spec);

}  // namespace initrt
