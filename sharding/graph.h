// The model on a meta representation: names, shapes and ops; no storage, no device.
// A graph is units: whatever holds embedding rows first, then blocks, then the head. A family in
// runtime/model builds it from a model config; everything after reads only this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sharding/alibi.h"
#include "sharding/functions.h"
#include "sharding/gating.h"
#include "sharding/hf_names.h"
#include "sharding/rotary.h"
#include "sharding/routing.h"

namespace initrt {

/// A canonical tensor: row-major [rows, columns]; a vector is [rows] with columns = 1.
/// Canonical means Hugging Face names and order: Q, K, V apart, rotary halves split.
struct Tensor {
  std::string name;
  std::uint64_t rows = 0;
  std::uint64_t columns = 1;
  bool vector = false;             ///< one-dimensional in the checkpoint
  std::uint32_t rotary_heads = 0;  ///< > 0: rows are this many heads, each in split rotary halves
  bool float32 = false;  ///< held as such in any precision: what rounding would change the model by
  /// Other canonical names of the same values: bound where the first is missing, else not needed.
  std::vector<std::string> aliases = {};
  /// > 0: a vector that checkpoints hold as a matrix of so many rows.
  std::uint64_t matrix_rows = 0;

  /// In a checkpoint.
  [[nodiscard]] std::vector<std::uint64_t> shape() const {
    if (matrix_rows > 0) return {matrix_rows, rows / matrix_rows};
    if (vector) return {rows};
    return {rows, columns};
  }
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

/// out = norm(in) * (weight + weight_offset) + bias, or norm(in) without a weight, over each
/// `group` columns on their own. All groups have the same weights, or each its own, behind one
/// another.
struct NormOp {
  ActivationId in, out;  ///< may be the same
  NormKind kind;
  std::optional<ParamId> weight;  ///< [group], or [columns of in]
  std::optional<ParamId> bias;    ///< as the weight
  float epsilon;
  float weight_offset;
  std::uint64_t group;  ///< columns; a divisor of in's
};

/// out[r] = weight · in[r] + bias; weight is [out columns, in columns]. In and out may be `groups`
/// parts of equal sizes, each made of the other's by itself: weight is [out columns, in columns /
/// groups].
struct LinearOp {
  ActivationId in, out;
  ParamId weight;
  std::optional<ParamId> bias;
  std::uint32_t groups = 1;
};

/// Rotates the columns of each row of x, heads of `head_size`, by the row's position (split halves
/// of a head's first elements).
struct RotaryOp {
  ActivationId x;
  std::uint32_t head_size;
  std::uint32_t rotary;  ///< index into Graph::rotary
};

/// out = for each of `heads` heads the part of a, then that of b.
struct JoinOp {
  ActivationId a, b, out;
  std::uint32_t heads;
};

/// Appends k and v to the layer's cache, then out = softmax(cap(q · Kᵀ · scale)) · V, causal,
/// query head h reading KV head h / (heads / kv_heads).
struct AttentionOp {
  ActivationId q;
  std::optional<ActivationId> k;  ///< else the cache of another op of the same `layer` is read
  std::optional<ActivationId> v;  ///< else values are the first value_size elements of keys
  ActivationId out;
  std::uint32_t layer;  ///< whose cache it is
  std::uint32_t heads, kv_heads, head_size, value_size;
  float scale;
  float softcap = 0.0f;      ///< scores are softcap * tanh(score / softcap); 0: as they are
  std::uint32_t window = 0;  ///< positions a row sees, its own counted; 0: all before it
  std::optional<ParamId> sinks = {};  ///< [heads], float32: AttentionShape::sinks
  Alibi alibi = {};
  bool chunks = false;  ///< AttentionShape::chunks
};

/// What a model keeps of each sequence beside keys and values, of a size that does not grow with
/// it: float32, zeros before position 0.
using StateId = std::uint32_t;

/// x[r, c] = SiLU(bias[c] + sum over j of weight[j, c] · x[r - taps + 1 + j, c]) over the rows of a
/// sequence: each column's convolution with its own last inputs, of which taps - 1 are the state.
struct ConvolutionOp {
  ActivationId x;
  ParamId weight;                    ///< [taps, columns of x]
  StateId state;                     ///< [taps - 1, columns of x], the oldest first
  std::optional<ParamId> bias = {};  ///< [columns of x], float32
};

/// The gated delta rule (Yang et al. 2024, arXiv:2412.06464) of each value head h, which reads key
/// head h / (value_heads / key_heads):
///   S = exp(g) S; S += k ⊗ beta (v - Sᵀ k); out = Sᵀ q
/// with q and k divided by their lengths, q also by sqrt(key_size); g = -exp(a_log) softplus(decay
/// + dt_bias) and beta = sigmoid(beta) of the head. Leaves in q, k, decay and beta what it made of
/// them.
struct DeltaOp {
  ActivationId q, k;         ///< [key_heads, key_size]
  ActivationId v;            ///< [value_heads, value_size]
  ActivationId decay, beta;  ///< [value_heads]
  ActivationId out;          ///< as v, and may be v
  ParamId a_log, dt_bias;    ///< [value_heads], float32
  StateId state;             ///< S: [value_heads, key_size, value_size]
  std::uint32_t key_heads, value_heads, key_size, value_size;
};

/// Mamba 2's state space (Dao and Gu 2024, arXiv:2405.21060) of each head h, which reads b and c of
/// group h / (heads / groups):
///   S = exp(-exp(a_log) step) S + b ⊗ step x; out = Sᵀ c + d x
/// with step = softplus(step + dt_bias) of the head. Leaves what it made of `step` there, and the
/// state's factor in `decay`.
struct StateSpaceOp {
  ActivationId x;             ///< [heads, head_size]
  ActivationId b, c;          ///< [groups, state_size]
  ActivationId step, decay;   ///< [heads]
  ActivationId out;           ///< as x, and may be x
  ParamId a_log, dt_bias, d;  ///< [heads], float32
  StateId state;              ///< S: [heads, state_size, head_size]
  std::uint32_t groups, heads, state_size, head_size;
};

/// out = gating of gate and up, element by element; without `up`, function(gate).
struct GateOp {
  ActivationId gate;
  std::optional<ActivationId> up;
  ActivationId out;
  Gating gating;
};

/// into += x.
struct AddOp {
  ActivationId x, into;
};

/// x *= factor; with a factor of 0, x = 0 whatever it was.
struct ScaleOp {
  ActivationId x;
  float factor;
};

/// x *= the one element of a parameter.
struct FactorOp {
  ActivationId x;
  ParamId factor;  ///< [1], float32
};

/// out = columns [first, first + columns of out) of `in`.
struct SliceOp {
  ActivationId in, out;
  std::uint64_t first;
};

/// x[r] *= sigmoid(gate[r]); gate has one column.
struct RowGateOp {
  ActivationId x, gate;
};

/// into[r] += table[position of r]; table is [context, into columns].
struct PositionOp {
  ActivationId into;
  ParamId table;
};

/// Ends a unit that experts follow: each row chooses some of them, and how much what they make of
/// the row counts. Expert e is the unit 1 + e after this one.
struct RouteOp {
  ActivationId scores;  ///< [experts]
  Routing routing;
  /// [experts], float32: added to scores where experts are chosen, and not where they are weighted.
  std::optional<ParamId> correction = {};
  std::optional<ParamId> factors = {};  ///< [experts], float32: of the weights of their choices
};

/// out = the rows of `in` that chose this unit's expert, one after the other.
struct TakeRowsOp {
  ActivationId in, out;
  bool weighted = false;  ///< times the weights of their choices
};

/// into[row] += weight · x[i], where x[i] is what this unit's expert made of that row.
struct AddRowsOp {
  ActivationId x, into;
  bool weighted = true;  ///< else the weight is 1
};

/// logits[r, vocabulary_begin ...] = cap(weight · in[r] + bias), for the rows that want logits.
struct HeadOp {
  ActivationId in;
  ParamId weight;
  std::uint64_t vocabulary_begin;
  float softcap;  ///< as of AttentionOp
  std::optional<ParamId> bias = {};
};

using Op = std::variant<NormOp, LinearOp, RotaryOp, JoinOp, SliceOp, AttentionOp, ConvolutionOp,
                        DeltaOp, StateSpaceOp, GateOp, RowGateOp, AddOp, ScaleOp, FactorOp,
                        PositionOp, RouteOp, TakeRowsOp, AddRowsOp, HeadOp>;

enum class UnitKind : std::uint8_t {
  Embedding,  ///< rows are exchanged, the unit is never gathered; has no ops
  Block,      ///< runs on every row of the sweep
  Expert,     ///< runs on the rows that chose it; gathered if there are any on some rank
  Head,       ///< runs only on the rows that want logits
};

/// What is gathered, used and released together: one flat buffer in the layout.
struct Unit {
  std::string name;
  UnitKind kind = UnitKind::Block;
  std::vector<Param> params;
  std::vector<Op> ops;
};

/// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): keys and values of all heads are
/// made of one latent of `rank` elements; a key has `rope` rotated ones besides, the same for all
/// heads. Queries are brought to the latent instead of keys and values out of it, so that only
/// latents are cached.
struct LatentSizes {
  std::uint32_t rank = 0;            ///< 0: no latent attention
  std::uint32_t query_rank = 0;      ///< of a latent that queries are made of; 0: none
  std::uint32_t nope = 0, rope = 0;  ///< elements of a head's query that are not rotated, and are
  std::uint32_t value = 0;           ///< of a head's value

  bool operator==(const LatentSizes&) const = default;
};

/// The gated delta net (see DeltaOp), whose queries, keys and values go through a convolution each.
struct DeltaSizes {
  std::uint32_t key_heads = 0;  ///< 0: no gated delta net
  std::uint32_t value_heads = 0, key_size = 0, value_size = 0;
  std::uint32_t taps = 0;  ///< of the convolutions

  [[nodiscard]] std::uint64_t keys() const { return std::uint64_t{key_heads} * key_size; }
  [[nodiscard]] std::uint64_t values() const { return std::uint64_t{value_heads} * value_size; }
  bool operator==(const DeltaSizes&) const = default;
};

/// Mamba 2's layer (see StateSpaceOp): what goes into the state space goes through a convolution.
struct StateSpaceSizes {
  std::uint32_t groups = 0;  ///< 0: no such layer
  std::uint32_t heads = 0, state_size = 0, head_size = 0;
  std::uint32_t taps = 0;  ///< of the convolution

  [[nodiscard]] std::uint64_t inner() const { return std::uint64_t{heads} * head_size; }
  [[nodiscard]] std::uint64_t of_groups() const { return std::uint64_t{groups} * state_size; }
  /// Columns that go through the convolution.
  [[nodiscard]] std::uint64_t convolved() const { return inner() + 2 * of_groups(); }
  bool operator==(const StateSpaceSizes&) const = default;
};

/// Where rows of the embedding table are: param `param` of unit `unit`.
struct TableTile {
  std::uint32_t unit = 0;
  ParamId param = 0;
};

struct Graph {
  std::string family;
  std::vector<Tensor> tensors;
  std::vector<Activation> activations;
  /// In load order, which is execution order but for tied tables: their head tiles come first,
  /// since the first thing a sweep needs is embedding rows.
  std::vector<Unit> units;
  std::vector<TableTile> embedding;  ///< tiles of the token embedding, in row order
  /// Tables besides that have a row for each token, which comes behind that of the embedding.
  std::vector<TableTile> further_tables;
  ActivationId embedded = 0;  ///< where these rows go in
  ActivationId hidden = 0;    ///< what the head reads
  std::uint64_t vocabulary = 0;
  std::uint64_t context = 0;  ///< most positions the model was made for
  std::uint32_t layers = 0, heads = 0, kv_heads = 0, head_size = 0;
  LatentSizes latent;
  DeltaSizes delta;
  StateSpaceSizes state_space;
  std::uint32_t states = 0;        ///< StateIds are below
  std::vector<RotarySpec> rotary;  ///< what RotaryOps refer to
  HfNames hf_names;                ///< how Hugging Face's checkpoints of the family name tensors

  /// Indices of the units that every sweep runs, in order: blocks, then head tiles.
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
