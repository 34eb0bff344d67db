// How a family's Hugging Face checkpoints name and store what the graph names canonically.
// Canonical names are those of LLaMA checkpoints, with names beside them for what LLaMA has not; a
// family whose own names differ says how, and nothing else knows.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace initrt {

/// A canonical name and another naming's, or parts of them. A "*" in both stands for an expert.
using NamePair = std::pair<std::string_view, std::string_view>;

/// How a naming spells canonical names.
struct NameTable {
  std::span<const NamePair> global;    ///< whole names outside of blocks
  std::string_view block_prefix;       ///< e.g. "blk."; the layer follows, and a dot
  std::span<const NamePair> in_block;  ///< modules, or tensors of them where they are renamed
};

/// The order of rows where Q, K and V are one matrix.
enum class QkvOrder : std::uint8_t {
  Stacked,  ///< all of Q, all of K, all of V
  ByGroup,  ///< for each KV head its query heads, itself, its value
};

/// How a family stores its experts' matrices.
enum class ExpertsForm : std::uint8_t {
  Apart,  ///< each in a tensor of its own
  /// Those of all experts in one, [experts, out, in], gate projections in front of up projections.
  Stacked,
  /// Those of all experts in one, [experts, in, out], gate and up projections in another, column by
  /// column in turns; where these are codes, row by row of [experts, out, ...] (gpt-oss).
  Interleaved,
  /// As Stacked, but [experts, in, out].
  Transposed,
};

/// How a family stores the products that a gated delta net begins with.
enum class DeltaForm : std::uint8_t {
  Apart,  ///< all of Q, K and V in `in_proj_qkv`, and z, b and a
  /// For each key head its Q, K, V and z in `in_proj_qkvz`, its b and a in `in_proj_ba`.
  ByKeyHead,
};

/// Q, K and V are fused where they have one name in the table; gate and up projections likewise,
/// gate first.
struct HfNames {
  NameTable table;  ///< what is not in it has its canonical name
  /// What stands before the names of a whole model's tensors, and not before those of a model saved
  /// without its head.
  std::string_view base_prefix = "model.";
  QkvOrder qkv = QkvOrder::Stacked;
  bool transposed = false;  ///< matrices of blocks are [in, out]
  ExpertsForm experts = ExpertsForm::Apart;
  /// Where they are not apart, what a block calls the two tensors.
  std::string_view gate_up_of_all = "mlp.experts.gate_up_proj";
  std::string_view down_of_all = "mlp.experts.down_proj";
  DeltaForm delta = DeltaForm::Apart;
  /// Each head's rows of Q are followed by those of its gate (DecoderSpec::gated_attention).
  bool gates_behind_queries = false;
  /// Modules' tensors, as "attn.bias", that blocks hold beside parameters: masks and the like,
  /// which a program computes anew.
  std::span<const std::string_view> buffers = {};
  /// Blocks behind the model's last one may be there, which guess further tokens: they are not run.
  bool further_blocks = false;
  /// What names of tensors begin with that text does not need, behind any prefix.
  std::span<const std::string_view> unread = {};
  bool rotary_interleaved = false;  ///< rotary heads have rows 2i and 2i + 1 for a pair of halves
};

}  // namespace initrt
