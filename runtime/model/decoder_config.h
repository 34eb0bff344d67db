// What most families' configs have in common: sizes, functions, windows, in Hugging Face's keys.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model/decoder.h"
#include "runtime/model/rotary_config.h"
#include "sharding/checkpoint/config/config_reader.h"

namespace initrt {

/// Keys of one family where they are not the usual ones ("" where it has none), and what configs of
/// the family leave out.
struct SizeKeys {
  std::string_view hidden = "hidden_size", intermediate = "intermediate_size";
  std::string_view layers = "num_hidden_layers";
  std::string_view heads = "num_attention_heads", kv_heads = "num_key_value_heads";
  std::string_view head_size = "head_dim";
  std::string_view context = "max_position_embeddings";
  std::string_view function = "hidden_act";
  std::string_view function_fallback = "silu";
  bool tied = false;
};

/// A LLaMA's choices, the config's sizes, its activation function and whether its embedding is
/// tied. Rotary embedding, norms and windows are for the family to read.
/// @throws Error naming the key that is missing, ill-typed, out of range or asks for what is not
///         known
[[nodiscard]] DecoderSpec read_sizes(const ConfigReader& config, std::string family,
                                     const SizeKeys& keys = {});

/// read_sizes() for the many that are LLaMA's but for a few choices: RMS norm, one rotary
/// embedding.
[[nodiscard]] DecoderSpec read_llama_like(const ConfigReader& config, std::string family,
                                          const SizeKeys& keys = {}, const RotaryKeys& rotary = {},
                                          double epsilon = 1e-6);

/// No layer has a rotary embedding.
void without_rotary(DecoderSpec& spec);

/// Layer norms with biases, and their epsilon: 1e-5 where the config has none.
void read_layer_norm(const ConfigReader& config, DecoderSpec& spec, std::string_view epsilon_key);

/// How many experts there are, and how many a token chooses (`num_experts_per_tok`).
void read_experts(const ConfigReader& config, DecoderSpec& spec, std::string_view count_key);

/// Which layers have experts: every `decoder_sparse_step`-th but for `mlp_only_layers`.
void read_sparse_layers(const ConfigReader& config, DecoderSpec& spec);

/// What a family's experts have where the config does not say.
struct CorrectedExpertsDefaults {
  double scale = 1.0;             ///< `routed_scaling_factor`
  std::uint64_t groups = 1;       ///< `n_group`
  std::uint64_t kept_groups = 1;  ///< `topk_group`
  std::uint64_t dense = 1;        ///< `first_k_dense_replace`
};

/// The experts of DeepSeek-V3's kind (arXiv:2412.19437): sigmoid scores with a correction, groups,
/// shared experts, dense layers first.
void read_corrected_experts(const ConfigReader& config, DecoderSpec& spec,
                            const CorrectedExpertsDefaults& defaults = {});

/// Sizes and rotary embedding of latent attention, and the scale of its scores.
void read_latent(const ConfigReader& config, DecoderSpec& spec);

/// Sizes of the gated delta net, and the layers that have one: those that `layer_types` calls
/// "linear_attention" or, in a config without, all but each `full_attention_interval`-th.
void read_delta(const ConfigReader& config, DecoderSpec& spec);

/// Keys of Mamba 2's layer, which families call differently.
struct StateSpaceKeys {
  std::string_view groups, heads, state_size, head_size, taps, convolution_bias, bias, function;
};

/// Sizes of Mamba 2's layer. @param head_size where the config does not give it as a number; 0: it
/// has to
void read_state_space(const ConfigReader& config, DecoderSpec& spec, const StateSpaceKeys& keys,
                      std::uint64_t head_size = 0);

/// What a list of the config calls each layer: transformers 4 and 5 call some of them differently.
/// @param known what there may be, and what it means
/// @returns the meaning for each layer @throws Error for any other
[[nodiscard]] std::vector<std::string_view> read_layer_list(const ConfigReader& config,
                                                            std::string_view key,
                                                            std::span<const NamePair> known);

/// Sets the windows of layers: those that `layer_types` calls "sliding_attention" or, in a config
/// without, those for which `slides` is true see `sliding_window` positions. None where that is
/// null.
/// @param fallback the window where the config has no such key; 0: none
void read_windows(const ConfigReader& config, DecoderSpec& spec, std::uint32_t fallback,
                  const std::function<bool(std::uint32_t layer)>& slides);

/// Granite's multipliers on the embedding, attention, residuals and logits, and attention's biases.
void read_granite_choices(const ConfigReader& config, DecoderSpec& spec);

/// The same of `attention_chunk_size` positions, where `layer_types` has "chunked_attention" or all
/// that are rotated: the parts of a sequence, one behind the other. 8192 where there is no such
/// key.
void read_chunks(const ConfigReader& config, DecoderSpec& spec);

/// Takes the rotary embedding from layers that have none: those with 0 in `no_rope_layers` or, in a
/// config without, each `no_rope_layer_interval`-th.
void read_layers_without_positions(const ConfigReader& config, DecoderSpec& spec);

/// @throws Error where a flag is true that the family has no use for
void refuse_flags(const ConfigReader& config, std::initializer_list<std::string_view> keys);

}  // namespace initrt
