// Canonical matrices that a naming keeps in one: Q, K and V, the gate and up projections, and the
// same projection of all experts.
#pragma once

#include <string_view>

#include "sharding/checkpoint/names/names.h"

namespace initrt {

enum class QkvPart : std::uint8_t { None, Query, Key, Value };

/// Which part of attention's first matrix a canonical tensor (its weight or bias) is.
[[nodiscard]] QkvPart qkv_part(std::string_view canonical);

/// Says which rows of the fused Q, K and V a part's are.
void place_qkv(Stored& stored, QkvPart part, QkvOrder order, const Graph& graph);

/// Says which rows of `all`, the matrices [experts, rows, columns] of all of a layer's experts,
/// those of one of them are. Where each of these holds several projections of as many rows, one
/// behind the other, the canonical one is number `part` of `parts`.
void place_expert(Stored& stored, const Tensor& canonical, const TensorEntry& all,
                  std::uint64_t part = 0, std::uint64_t parts = 1);

/// The same where it is the graph that says how many experts there are: as ExpertsForm::Stacked.
void place_stacked_expert(Stored& stored, const Tensor& canonical, std::uint32_t experts);

/// The same of [experts, columns, rows]: as ExpertsForm::Transposed.
void place_transposed_expert(Stored& stored, const Tensor& canonical, std::uint32_t experts);

/// Says where one of the experts' matrices or vectors is in those of all of a layer's, as
/// ExpertsForm::Interleaved has them. @param by_rows they are codes
void place_interleaved_expert(Stored& stored, const Tensor& canonical, std::uint32_t experts,
                              bool by_rows);

/// Says which rows, or columns, of a stored matrix a part of latent attention is: of the latents'
/// and the shared key's, of all heads' queries, keys and values. Names are Hugging Face's.
/// @returns the stored module, or "" where the canonical one is none of these
[[nodiscard]] std::string_view place_latent(Stored& stored, const Tensor& canonical,
                                            const Graph& graph);

/// Says which rows of all heads' queries and gates those of one of them are.
/// @returns as place_latent()
[[nodiscard]] std::string_view place_gated_query(Stored& stored, const Tensor& canonical,
                                                 const Graph& graph);

/// Says which rows of a gated delta net's first products, or columns of its convolutions, a part
/// of it is. @returns as place_latent()
[[nodiscard]] std::string_view place_delta(Stored& stored, const Tensor& canonical,
                                           const Graph& graph, DeltaForm form);

/// Says where a part's value heads are where not those of one key head follow one another, but the
/// first of each key head, then the second of each: llama.cpp's order for Qwen3.5. Parts that are
/// of no value head stay as they are. @param stored as place_delta() has placed it
void tile_value_heads(Stored& stored, const Tensor& canonical, const DeltaSizes& sizes);

/// Says which rows of a state space's first product, or columns of its convolution, a part of it
/// is.
/// @returns as place_latent()
[[nodiscard]] std::string_view place_state_space(Stored& stored, const Tensor& canonical,
                                                 const Graph& graph);

/// Says which rows of the fused gate and up projections those of one of them are: gate first.
void place_gate_up(Stored& stored, const Tensor& canonical);

}  // namespace initrt
