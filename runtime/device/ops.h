// The ops of a forward pass.
//
// Determinism, required of every implementation: an output element depends only on its own row's
// inputs and the weights, with one order of accumulation whatever the number of rows, threads,
// or the row's place in the batch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "sharding/alibi.h"
#include "sharding/dtype.h"
#include "sharding/functions.h"
#include "sharding/gating.h"
#include "sharding/kv_tile.h"
#include "sharding/routing.h"
#include "sharding/row_blocks.h"
#include "sharding/weight_format.h"

namespace initrt {

/// What one sweep row is: a token of a sequence.
struct RowInfo {
  std::uint32_t sequence = 0;  ///< which KV cache slot
  std::uint32_t position = 0;  ///< position in the sequence, from 0
  /// Positions that the sequence is known to have when the row is run: those of its prompt, or of
  /// what has been generated too. What scales with it must not depend on how a prompt is chunked.
  std::uint32_t length = 0;
};

/// A layer's KV cache: K [sequences, kv_heads, positions, head_size] and V the same with
/// value_size, in `dtype`.
struct KvView {
  std::byte* k = nullptr;
  std::byte* v = nullptr;  ///< null: a value is the first value_size elements of its key
  DType dtype = DType::F32;
  std::uint32_t positions = 0;  ///< of each sequence that there is room for
  /// Position p lies at p % positions, a multiple of kKvTile: only the last ones are there.
  bool ring = false;
};
struct AttentionShape {
  std::uint32_t heads = 0, kv_heads = 0, head_size = 0;
  float scale = 1.0f;
  float softcap = 0.0f;          ///< scores are softcap * tanh(score / softcap); 0: as they are
  std::uint32_t window = 0;      ///< positions a row sees, its own counted; 0: all before it
  std::uint32_t value_size = 0;  ///< of a head's value and output; 0: head_size
  /// [heads] float32: a score of each head that softmax counts, and no value goes with
  /// (Xiao et al. 2023, arXiv:2309.17453, as gpt-oss learns it); may be null.
  RowBlocks sinks = {};
  /// Added to scores: the rate of the head times the key's position less the row's.
  Alibi alibi = {};
  /// Windows are parts of the sequence, one behind the other: a row sees its own part alone.
  bool chunks = false;

  [[nodiscard]] constexpr std::uint32_t value() const {
    return value_size == 0 ? head_size : value_size;
  }
};

/// What a convolution's columns are weighted with: [taps, columns] in `dtype`.
struct ConvolutionWeights {
  RowBlocks taps = {};
  DType dtype = DType::F32;
  std::uint32_t count = 0;  ///< of taps, at most kMaxTaps
  RowBlocks bias = {};      ///< [columns] float32; may be null
};
inline constexpr std::uint32_t kMaxTaps = 8;

/// A gated delta rule's heads. Key sizes are at most kMaxKeySize.
struct DeltaShape {
  std::uint32_t key_heads = 0, value_heads = 0, key_size = 0, value_size = 0;
  RowBlocks a_log = {}, dt_bias = {};  ///< [value_heads] float32
};
inline constexpr std::uint32_t kMaxKeySize = 256;

/// A state space's heads. State sizes are at most kMaxKeySize.
struct StateSpaceShape {
  std::uint32_t groups = 0, heads = 0, state_size = 0, head_size = 0;
  RowBlocks a_log = {}, dt_bias = {}, d = {};  ///< [heads] float32
};

/// What a state space reads and writes for each row: see StateSpaceOp. `out` may be `x`.
struct StateSpaceRows {
  const float *x = nullptr, *b = nullptr, *c = nullptr;
  float *step = nullptr, *decay = nullptr;
  float* out = nullptr;
};

/// What a gated delta rule reads and writes for each row: see DeltaOp. `out` may be `v`.
struct DeltaRows {
  float *q = nullptr, *k = nullptr;
  const float* v = nullptr;
  float *decay = nullptr, *beta = nullptr;
  float* out = nullptr;
};

/// What a normalised row is multiplied with and moved by, in `dtype`: rows of one element. Of
/// several sets behind one another, row r has number r % sets.
struct NormWeights {
  RowBlocks weight = {};  ///< may be null where `bias` is: the row is left as it is normalised
  RowBlocks bias = {};    ///< may be null; else in blocks as the weight
  DType dtype = DType::F32;
  float weight_offset = 0.0f;  ///< added to the weight
  std::uint64_t sets = 1;
};

/// A matrix [out_columns, in_columns] in `format` and a bias [out_columns] in `dtype`, which is
/// also what inputs are rounded to and, of Plain, what the matrix is of.
struct LinearWeights {
  RowBlocks weight = {};
  RowBlocks bias = {};  ///< may be null; else in blocks as the weight
  DType dtype = DType::F32;
  std::uint64_t in_columns = 0, out_columns = 0;
  /// Rows of the matrix that these are some of, where a rank multiplies with its own: what a device
  /// chooses for a product must not go by how many ranks there are. 0: these are all.
  std::uint64_t whole_columns = 0;
  WeightFormat format = WeightFormat::Plain;
  RowBlocks scales =
      {};  ///< of the formats that have them beside the codes; in blocks as the weight
  /// Of Int8: inputs of this magnitude and more are multiplied as they are, not as codes.
  float outlier_threshold = 0.0f;

  /// Rows of a block that is not the last.
  [[nodiscard]] std::uint64_t block_columns() const { return std::min(weight.rows, out_columns); }
};

/// A matrix that inputs are multiplied with, and where the products go: rows `out_stride` elements
/// apart.
struct LinearProduct {
  LinearWeights weights;
  float* out = nullptr;
  std::uint64_t out_stride = 0;
  /// Inputs are columns [in_column, in_column + in_columns) of rows of in_stride; 0: of in_columns.
  /// Of Plain weights only.
  std::uint64_t in_column = 0, in_stride = 0;

  [[nodiscard]] std::uint64_t input_columns() const {
    return in_stride == 0 ? weights.in_columns : in_stride;
  }
};

/// An expert that a row chose.
struct ExpertChoice {
  std::uint32_t expert = 0;
  float weight = 0.0f;  ///< of what it makes of the row

  bool operator==(const ExpertChoice&) const = default;
};

/// What each expert has beside its score: [experts] float32, or null.
struct RouteVectors {
  RowBlocks correction = {};  ///< added to scores for the choice alone
  RowBlocks factors = {};     ///< of the weights of choices, after all else
};

/// @param room for choices of all rows @param who begins the message
/// @throws Error where a row cannot choose so
void check_routing(const Routing& routing, std::uint64_t rows, std::uint64_t room,
                   std::string_view who);

/// @param who begins the message @throws Error where heads, sizes or taps are not such as kernels
/// take
void check_delta(const DeltaShape& shape, std::string_view who);
void check_state_space(const StateSpaceShape& shape, std::string_view who);
void check_taps(const ConvolutionWeights& weights, std::string_view who);

/// Activations are float32, row-major, dense: [rows, columns], with room for rows up to the next
/// multiple of DeviceNeeds::row_tile. Pointers are to the device's memory. Ops are asynchronous and
/// stream-ordered (stream.h), but where results are on the host.
class DeviceOps {
 public:
  virtual ~DeviceOps() = default;

  /// Memory that ops use; the caller keeps it alive until all that was enqueued is done.
  /// @param scratch of this device, DeviceNeeds::scratch_bytes for the largest of them
  /// @param pinned of allocate_host(), DeviceNeeds::pinned_bytes
  /// @param rows the most of any op, as Device::needs() was told
  virtual void set_scratch(std::span<std::byte> scratch, std::span<std::byte> pinned,
                           std::uint64_t rows) = 0;

  /// What the rows of the ops that follow are, for those that depend on sequence and position, and
  /// which of them keep_rows() keeps, ascending. Both may change as soon as this returns.
  virtual void set_rows(std::span<const RowInfo> rows, std::span<const std::uint32_t> kept) = 0;

  /// out[i] = float32(in[i]) for `elements` elements of `dtype` (embedding rows).
  virtual void to_float(const std::byte* in, DType dtype, float* out, std::uint64_t elements) = 0;

  /// out = rows of a table held in blocks of `format`, decoded and rounded to `dtype` (embedding
  /// rows).
  /// @throws Error on devices that do not compute with such weights
  virtual void decode_rows(const std::byte* in, WeightFormat format, DType dtype, float* out,
                           std::uint64_t elements) = 0;

  /// out[r] = norm(in[r]) * (weight + weight_offset) + bias. `in` and `out` may be the same.
  virtual void norm(NormKind kind, const float* in, const NormWeights& weights, float epsilon,
                    float* out, std::uint64_t rows, std::uint64_t columns) = 0;

  /// out[r, o] = sum_k in[r, k] * weight[o, k] + bias[o], the bias being added last.
  /// Row r of out starts at out + r * out_stride (elements), so that head tiles can fill logits.
  /// Inputs are rounded to the weights' dtype first; sums are float32. Quantized weights are
  /// dequantized to that dtype, but for Int8: there inputs become codes too, row by row, and sums
  /// of products of codes are exact.
  virtual void linear(const float* in, const LinearWeights& weights, float* out, std::uint64_t rows,
                      std::uint64_t out_stride) = 0;

  /// linear() of the same inputs for each product, with the same bits; what has to be made of the
  /// inputs is made once. Dtype and input_columns() are the same for all, and no output is in `in`.
  virtual void linear_of_each(const float* in, std::span<const LinearProduct> products,
                              std::uint64_t rows);

  /// Rotates, in place, each head of each row: for i < dimensions/2, the pair (i, i + dimensions/2)
  /// by the angle whose cosine and sine are table[row, 0, i] and table[row, 1, i].
  /// table: float32 [rows, 2, dimensions / 2].
  virtual void rotary(float* x, std::uint64_t rows, std::uint32_t heads, std::uint32_t head_size,
                      std::uint32_t dimensions, const float* table) = 0;

  /// Writes the k [kv_heads, head_size] and v [kv_heads, value_size] of each of set_rows()'s rows
  /// to its place in the cache. @param v null where the cache has no values
  virtual void store_kv(const float* k, const float* v, const AttentionShape& shape,
                        const KvView& cache) = 0;

  /// Causal attention of each of set_rows()'s rows over positions [0, row.position] of its own
  /// sequence, or the last `window` of them. All rows' keys and values are already stored, and the
  /// tiles of kKvTile positions that a row sees anything of are in the cache. q [rows, heads *
  /// head_size], out [rows, heads * value_size].
  virtual void attention(const float* q, const AttentionShape& shape, const KvView& cache,
                         float* out) = 0;

  /// Replaces each column of set_rows()'s rows by SiLU of its convolution with the rows before it
  /// of the same sequence and its bias, in place. Rows of a sequence are neighbours, in order;
  /// those before the call's are in the state, but none where the first is position 0.
  /// @param states [sequences, taps - 1, columns]: of each sequence the last rows as they came in
  virtual void convolve(float* x, const ConvolutionWeights& weights, std::uint64_t columns,
                        float* states) = 0;

  /// The gated delta rule over set_rows()'s rows, which come as for convolve().
  /// @param states [sequences, value_heads, key_size, value_size]; taken for zeros at position 0
  virtual void delta_rule(const DeltaRows& rows, const DeltaShape& shape, float* states) = 0;

  /// Mamba 2's state space over set_rows()'s rows, which come as for convolve().
  /// @param states [sequences, heads, state_size, head_size]; taken for zeros at position 0
  virtual void state_space(const StateSpaceRows& rows, const StateSpaceShape& shape,
                           float* states) = 0;

  /// out = function(gate) * (up + up_offset), both within the limit before; or function(gate) where
  /// `up` is null.
  virtual void gate(const Gating& gating, const float* gate, const float* up, float* out,
                    std::uint64_t elements) = 0;

  /// x[r] *= sigmoid(gate[r]), for rows of `columns`.
  virtual void gate_rows(const float* gate, float* x, std::uint64_t rows,
                         std::uint64_t columns) = 0;

  /// into += x.
  virtual void add(const float* x, float* into, std::uint64_t elements) = 0;

  /// x *= factor; with a factor of 0, x = 0 whatever it was.
  virtual void scale(float* x, float factor, std::uint64_t elements) = 0;

  /// x *= the one float32 of `factor`.
  virtual void scale_by(const RowBlocks& factor, float* x, std::uint64_t elements) = 0;

  /// x = cap * tanh(x / cap), for rows that start `stride` elements apart.
  virtual void softcap(float* x, float cap, std::uint64_t rows, std::uint64_t columns,
                       std::uint64_t stride) = 0;

  /// into[r] += table[position of row r of set_rows()]; table [context, columns] in `dtype`.
  virtual void add_positions(const RowBlocks& table, DType dtype, float* into,
                             std::uint64_t columns) = 0;

  /// The experts that each row chooses. scores [rows, experts]; a NaN is the lowest of scores.
  /// @param out [rows, chosen], on the host, there when this returns
  virtual void route(const float* scores, std::uint64_t rows, const Routing& routing,
                     const RouteVectors& vectors, std::span<ExpertChoice> out) = 0;

  /// Row i of x becomes its row kept[i], for those of set_rows().
  virtual void keep_rows(float* x, std::uint64_t columns) = 0;

  /// out[i] = weights[i] * in[rows[i]]. @param weights may be empty: all 1
  virtual void take_rows(const float* in, std::span<const std::uint32_t> rows,
                         std::span<const float> weights, std::uint64_t columns, float* out) = 0;

  /// into[rows[i]] += weights[i] * x[i]; no row twice. @param weights may be empty: all 1
  virtual void add_rows(const float* x, std::span<const std::uint32_t> rows,
                        std::span<const float> weights, std::uint64_t columns, float* into) = 0;
};

}  // namespace initrt
