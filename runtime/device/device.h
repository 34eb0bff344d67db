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

namespace initrt {

/// What one sweep row is: a token of a sequence.
struct RowInfo {
  std::uint32_t sequence = 0;  ///< which KV cache slot
  std::uint32_t position = 0;  ///< position in the sequence, from 0
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

  /// out[r] = in[r] / sqrt(mean(in[r]^2) + epsilon) * weight.
  virtual void rms_norm(const float* in, const std::byte* weight, DType dtype, float epsilon,
                        float* out, std::uint64_t rows, std::uint64_t columns) = 0;

  /// out[r, o] = sum_k in[r, k] * weight[o, k]; weight [out_columns, in_columns] in `dtype`.
  /// Row r of out starts at out + r * out_stride (elements), so that head tiles can fill logits.
  /// With 16-bit weights, inputs are rounded to that type first; sums are float32.
  virtual void linear(const float* in, const std::byte* weight, DType dtype, float* out,
                      std::uint64_t rows, std::uint64_t in_columns, std::uint64_t out_columns,
                      std::uint64_t out_stride) = 0;

  /// Rotates, in place, each head of each row: for i < dimensions/2, the pair (i, i + dimensions/2)
  /// by the angle whose cosine and sine are table[position, 0, i] and table[position, 1, i].
  /// table: float32 [context, 2, dimensions / 2].
  virtual void rotary(float* x, std::span<const RowInfo> rows, std::uint32_t heads,
                      std::uint32_t head_size, std::uint32_t dimensions, const float* table) = 0;

  /// Writes each row's k and v [kv_heads, head_size] to its place in the cache.
  virtual void store_kv(const float* k, const float* v, std::span<const RowInfo> rows,
                        const AttentionShape& shape, const KvView& cache) = 0;

  /// Causal attention of each row over positions [0, row.position] of its own sequence.
  /// All rows' keys and values are already stored. q, out: [rows, heads * head_size].
  virtual void attention(const float* q, std::span<const RowInfo> rows, const AttentionShape& shape,
                         const KvView& cache, float* out) = 0;

  /// out = silu(gate) * up.
  virtual void silu_gate(const float* gate, const float* up, float* out,
                         std::uint64_t elements) = 0;

  /// into += x.
  virtual void add(const float* x, float* into, std::uint64_t elements) = 0;

  /// Waits until everything asked for so far is done.
  virtual void synchronize() = 0;
};

}  // namespace initrt
