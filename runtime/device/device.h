// The device interface: memory and the ops of a forward pass. cpu/ and cuda/ implement it;
// nothing above it knows which one runs.
//
// Determinism, required of every implementation: an output element depends only on its own row's
// inputs and the weights, with one order of accumulation whatever the number of rows, threads,
// or the row's place in the batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "sharding/dtype.h"
#include "sharding/functions.h"

namespace initrt {

/// What one sweep row is: a token of a sequence.
struct RowInfo {
  std::uint32_t sequence = 0;  ///< which KV cache slot
  std::uint32_t position = 0;  ///< position in the sequence, from 0
  /// Positions that the sequence is known to have when the row is run: those of its prompt, or of
  /// what has been generated too. What scales with it must not depend on how a prompt is chunked.
  std::uint32_t length = 0;
};

/// A layer's KV cache: K and V each [sequences, kv_heads, context, head_size] in `dtype`.
struct KvView {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  DType dtype = DType::F32;
  std::uint32_t context = 0;
};

struct AttentionShape {
  std::uint32_t heads = 0, kv_heads = 0, head_size = 0;
  float scale = 1.0f;
  float softcap = 0.0f;      ///< scores are softcap * tanh(score / softcap); 0: as they are
  std::uint32_t window = 0;  ///< positions a row sees, its own counted; 0: all before it
};

/// What a normalised row is multiplied with and moved by, in `dtype`.
struct NormWeights {
  const std::byte* weight = nullptr;
  const std::byte* bias = nullptr;  ///< may be null
  DType dtype = DType::F32;
  float weight_offset = 0.0f;  ///< added to the weight
};

/// A matrix [out_columns, in_columns] and a bias [out_columns], in `dtype`.
struct LinearWeights {
  const std::byte* weight = nullptr;
  const std::byte* bias = nullptr;  ///< may be null
  DType dtype = DType::F32;
  std::uint64_t in_columns = 0, out_columns = 0;
};

/// An expert that a row chose.
struct Choice {
  std::uint32_t expert = 0;
  float weight = 0.0f;  ///< of what it makes of the row

  bool operator==(const Choice&) const = default;
};

/// Activations are float32, row-major, dense: [rows, columns]. Pointers are to this device's
/// memory. Calls run in order; results are visible to the host after synchronize().
class Device {
 public:
  virtual ~Device() = default;

  /// E.g. "cpu avx512_bf16, 2 threads".
  [[nodiscard]] virtual std::string name() const = 0;

  /// Scratch bytes that linear() needs for `rows` rows of `columns` input columns with weights of
  /// `dtype`. Part of the MemoryPlan.
  [[nodiscard]] virtual std::uint64_t scratch_bytes(DType dtype, std::uint64_t rows,
                                                    std::uint64_t columns) const = 0;

  /// Scratch used by linear(); the caller keeps it alive. At least what scratch_bytes() said.
  virtual void set_scratch(std::span<std::byte> scratch) = 0;

  /// out[i] = float32(in[i]) for `elements` elements of `dtype` (embedding rows).
  virtual void to_float(const std::byte* in, DType dtype, float* out, std::uint64_t elements) = 0;

  /// out[r] = norm(in[r]) * (weight + weight_offset) + bias. `in` and `out` may be the same.
  virtual void norm(NormKind kind, const float* in, const NormWeights& weights, float epsilon,
                    float* out, std::uint64_t rows, std::uint64_t columns) = 0;

  /// out[r, o] = sum_k in[r, k] * weight[o, k] + bias[o], the bias being added last.
  /// Row r of out starts at out + r * out_stride (elements), so that head tiles can fill logits.
  /// With 16-bit weights, inputs are rounded to that type first; sums are float32.
  virtual void linear(const float* in, const LinearWeights& weights, float* out, std::uint64_t rows,
                      std::uint64_t out_stride) = 0;

  /// Rotates, in place, each head of each row: for i < dimensions/2, the pair (i, i + dimensions/2)
  /// by the angle whose cosine and sine are table[row, 0, i] and table[row, 1, i].
  /// table: float32 [rows, 2, dimensions / 2].
  virtual void rotary(float* x, std::uint64_t rows, std::uint32_t heads, std::uint32_t head_size,
                      std::uint32_t dimensions, const float* table) = 0;

  /// Writes each row's k and v [kv_heads, head_size] to its place in the cache.
  virtual void store_kv(const float* k, const float* v, std::span<const RowInfo> rows,
                        const AttentionShape& shape, const KvView& cache) = 0;

  /// Causal attention of each row over positions [0, row.position] of its own sequence, or the last
  /// `window` of them. All rows' keys and values are already stored. q, out: [rows, heads *
  /// head_size].
  virtual void attention(const float* q, std::span<const RowInfo> rows, const AttentionShape& shape,
                         const KvView& cache, float* out) = 0;

  /// out = function(gate) * up, or function(gate) where `up` is null.
  virtual void gate(GateFunction function, const float* gate, const float* up, float* out,
                    std::uint64_t elements) = 0;

  /// into += x.
  virtual void add(const float* x, float* into, std::uint64_t elements) = 0;

  /// x *= factor.
  virtual void scale(float* x, float factor, std::uint64_t elements) = 0;

  /// x = cap * tanh(x / cap), for rows that start `stride` elements apart.
  virtual void softcap(float* x, float cap, std::uint64_t rows, std::uint64_t columns,
                       std::uint64_t stride) = 0;

  /// into[r] += table[row r's position]; table [context, columns] in `dtype`.
  virtual void add_positions(const std::byte* table, DType dtype, std::span<const RowInfo> rows,
                             float* into, std::uint64_t columns) = 0;

  /// The `chosen` experts with the largest softmax(scores[r]) for each row, largest first, of equal
  /// ones the first; `normalize` divides their weights by their sum. scores [rows, experts].
  /// @param out [rows, chosen], on the host, there when this returns
  virtual void route(const float* scores, std::uint64_t rows, std::uint32_t experts,
                     std::uint32_t chosen, bool normalize, std::span<Choice> out) = 0;

  /// out[i] = in[rows[i]]. `rows` ascend, so that `in` and `out` may be the same.
  virtual void take_rows(const float* in, std::span<const std::uint32_t> rows,
                         std::uint64_t columns, float* out) = 0;

  /// into[rows[i]] += weights[i] * x[i]; no row twice.
  virtual void add_rows(const float* x, std::span<const std::uint32_t> rows,
                        std::span<const float> weights, std::uint64_t columns, float* into) = 0;

  /// Waits until everything asked for so far is done.
  virtual void synchronize() = 0;
};

}  // namespace initrt
