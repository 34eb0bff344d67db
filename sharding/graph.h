// The model on a meta representation: names, shapes and ops; no storage, no device.
// A graph is units: whatever holds embedding rows first, then blocks, then the head. A family in
// runtime/model builds it from a model config; everything after reads only this.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace initrt {

/// A canonical tensor: row-major [rows, columns]; a vector is [rows] with columns = 1.
/// Canonical means Hugging Face names and order: Q, K, V apart, rotary halves split.
struct Tensor {
  std::string name;
  std::uint64_t rows = 0;
  std::uint64_t columns = 1;
  bool vector = false;             ///< one-dimensional in the checkpoint
  std::uint32_t rotary_heads = 0;  ///< > 0: rows are this many heads, each in split rotary halves
  /// Other canonical names of the same values: bound where the first is missing, else not needed.
  std::vector<std::string> aliases = {};

  [[nodiscard]] std::uint64_t elements() const { return rows * columns; }
};

/// Rows [row_begin, row_begin + rows) of a canonical tensor, held by one unit.
/// Only vocabulary tables are cut into several; all else is whole.
struct Param {
  std::uint32_t tensor = 0;  ///< index into Graph::tensors
  std::uint64_t row_begin = 0;
  std::uint64_t rows = 0;
};

/// A named activation buffer: float32 [rows of the sweep, columns].
struct Activation {
  std::string name;
  std::uint64_t columns = 0;
};

using ActivationId = std::uint32_t;  ///< index into Graph::activations
using ParamId = std::uint32_t;       ///< index into the unit's params

enum class GateFunction : std::uint8_t { Silu };

/// out = in / rms(in) * weight, row by row.
struct RmsNormOp {
  ActivationId in, out;
  ParamId weight;
  float epsilon;
};

/// out[r] = weight · in[r]; weight is [out columns, in columns].
struct LinearOp {
  ActivationId in, out;
  ParamId weight;
};

/// Rotates `heads` heads of each row of x by the row's position (split halves).
struct RotaryOp {
  ActivationId x;
  std::uint32_t heads;
};

/// Appends k and v to the layer's cache, then out = softmax(q · Kᵀ · scale) · V, causal,
/// query head h reading KV head h / (heads / kv_heads).
struct AttentionOp {
  ActivationId q, k, v, out;
  std::uint32_t layer, heads, kv_heads, head_size;
  float scale;
};

/// out = function(gate) * up, element by element.
struct GateOp {
  ActivationId gate, up, out;
  GateFunction function;
};

/// into += x.
struct AddOp {
  ActivationId x, into;
};

/// logits[r, vocabulary_begin ...] = weight · in[r], for the rows that want logits.
struct HeadOp {
  ActivationId in;
  ParamId weight;
  std::uint64_t vocabulary_begin;
};

using Op = std::variant<RmsNormOp, LinearOp, RotaryOp, AttentionOp, GateOp, AddOp, HeadOp>;

enum class UnitKind : std::uint8_t {
  Embedding,  ///< rows are exchanged, the unit is never gathered; has no ops
  Block,      ///< runs on every row of the sweep
  Head,       ///< runs only on the rows that want logits
};

/// What is gathered, used and released together: one flat buffer in the layout.
struct Unit {
  std::string name;
  UnitKind kind = UnitKind::Block;
  std::vector<Param> params;
  std::vector<Op> ops;
};

/// Where rows of the embedding table are: param `param` of unit `unit`.
struct TableTile {
  std::uint32_t unit = 0;
  ParamId param = 0;
};

/// Rotary frequencies: angle(position, i) = position · theta^(-2i / dimensions).
struct RotarySpec {
  std::uint32_t dimensions = 0;
  double theta = 10000.0;
};

struct Graph {
  std::string family;
  std::vector<Tensor> tensors;
  std::vector<Activation> activations;
  /// In load order, which is execution order but for tied tables: their head tiles come first,
  /// since the first thing a sweep needs is embedding rows.
  std::vector<Unit> units;
  std::vector<TableTile> embedding;  ///< tiles of the token embedding, in row order
  ActivationId hidden = 0;           ///< where embedding rows go in and the head reads
  std::uint64_t vocabulary = 0;
  std::uint64_t context = 0;  ///< most positions the model was made for
  std::uint32_t layers = 0, heads = 0, kv_heads = 0, head_size = 0;
  RotarySpec rotary;

  /// Indices of the units that a sweep runs, in order: blocks, then head tiles.
  [[nodiscard]] std::vector<std::uint32_t> execution_order() const {
    std::vector<std::uint32_t> order;
    for (const UnitKind kind : {UnitKind::Block, UnitKind::Head}) {
      for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
        if (units[unit].kind == kind) order.push_back(unit);
      }
    }
    return order;
  }

  [[nodiscard]] const Tensor& tensor_of(const Param& param) const { return tensors[param.tensor]; }
};

}  // namespace initrt
