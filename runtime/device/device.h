// The device interface: memory and the ops of a forward pass. cpu/ and cuda/ implement it;
// nothing above it knows which one runs.
//
// Determinism, required of every implementation: an output element depends only on its own row's
// inputs and the weights, with one order of accumulation whatever the number of rows, threads,
// or the row's place in the batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/device/buffer.h"
#include "runtime/device/host_clock.h"
#include "sharding/dtype.h"
#include "sharding/functions.h"
#include "sharding/memory_plan.h"
#include "sharding/reads.h"
#include "sharding/sampling.h"

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

/// A matrix that inputs are multiplied with, and where the products go: rows `out_stride` elements
/// apart.
struct LinearProduct {
  LinearWeights weights;
  float* out = nullptr;
  std::uint64_t out_stride = 0;
};

/// An expert that a row chose.
struct ExpertChoice {
  std::uint32_t expert = 0;
  float weight = 0.0f;  ///< of what it makes of the row

  bool operator==(const ExpertChoice&) const = default;
};

/// Bytes that are copied from one place of a device's memory to another.
struct CopyPiece {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::uint64_t bytes = 0;
};

/// A point in a device's stream, like a CUDA event. Each device has a stream of its own.
class Fence {
 public:
  virtual ~Fence() = default;
  /// Whether the device has reached it. From any thread.
  [[nodiscard]] virtual bool passed() const = 0;
};
using FenceHandle = std::shared_ptr<const Fence>;

/// A Fence that also knows when the device reached it, like a CUDA event with timing.
class Stamp {
 public:
  virtual ~Stamp() = default;
  /// Once the device has been synchronized. @throws Error where it has failed
  [[nodiscard]] virtual HostTime time() const = 0;
};
using StampHandle = std::shared_ptr<const Stamp>;

/// A copy to the host under way.
class Download {
 public:
  virtual ~Download() = default;
  /// From any thread. @throws Error where the device has failed
  [[nodiscard]] virtual bool done() = 0;
};

/// What an uploader has read from a file by itself.
struct Fetched {
  std::span<const std::byte> bytes;  ///< in the device's memory; empty where it could not
  std::uint64_t device_bytes = 0;    ///< read into the device's memory, with alignment
  std::uint64_t host_bytes = 0;      ///< read once more by the host, to compare
};

/// What became of a read, and when.
struct StoredRead {
  std::uint64_t bytes = 0;          ///< written where they belong
  std::optional<Interval> copy;     ///< to the device's memory, where it is its own
  std::optional<Interval> convert;  ///< unless the pieces were copied as they are
};

/// Takes what is read from files into a device's memory; each thread that reads has its own.
class Uploader {
 public:
  virtual ~Uploader() = default;

  /// Whether fetch() may be of use.
  [[nodiscard]] virtual bool fetches() const { return false; }

  /// Reads a range of a file straight into the device's memory, past the host's. Where that cannot
  /// be done nothing is lost: the range can still be read into block().
  /// @param descriptor of the file, open with O_DIRECT; outlives the uploader
  virtual Fetched fetch(int descriptor, std::uint64_t offset, std::uint64_t bytes) {
    static_cast<void>(descriptor), static_cast<void>(offset), static_cast<void>(bytes);
    return {};
  }

  /// Host memory to read into: one block of the staging ring.
  [[nodiscard]] virtual std::span<std::byte> block() const = 0;

  /// Converts the pieces of one read to where they belong. When this returns they are there, for
  /// ops that are asked for later, and the block may be read into again.
  /// @param bytes the read's bytes, a part of block() or what fetch() has just read
  /// @param to this device's memory, where the pieces' destinations count from
  virtual StoredRead store(const UnitReads& plan, const Read& read,
                           std::span<const std::byte> bytes, std::byte* to, DType dtype) = 0;
};

/// Activations are float32, row-major, dense: [rows, columns], with room for rows up to the next
/// multiple of needs().row_tile. Pointers are to this device's memory, as allocate() gives it.
/// Calls are asynchronous and stream-ordered: results are visible to the host after synchronize().
/// One thread enqueues; uploaders and downloads may be used beside it.
class Device {
 public:
  virtual ~Device() = default;

  /// E.g. "cpu avx512_bf16, 2 threads".
  [[nodiscard]] virtual std::string name() const = 0;

  /// @param rows, columns the most rows and the widest input of any matrix product
  /// @param dtype of its weights
  [[nodiscard]] virtual DeviceNeeds needs(DType dtype, std::uint64_t rows,
                                          std::uint64_t columns) const = 0;

  /// Whether its memory is discrete, not the host's.
  [[nodiscard]] virtual bool is_discrete() const { return false; }

  /// Memory of this device, zeroed, whose parts are of several categories.
  /// @throws Error naming the category and size where the memory cannot be had
  [[nodiscard]] virtual Buffer allocate(Ledger& ledger, std::span<const BufferPart> parts) = 0;

  /// Host memory that this device copies from and to by itself (pinned, where that is a thing).
  [[nodiscard]] virtual Buffer allocate_host(Ledger& ledger, MemoryCategory category,
                                             std::uint64_t bytes) = 0;

  /// Copies ordinary host memory to the device; it may change as soon as this returns.
  virtual void write(std::span<const std::byte> from, std::byte* to) = 0;

  /// Copies memory from allocate_host() to the device: it is read later.
  virtual void upload(std::span<const std::byte> from, std::byte* to) = 0;

  /// Copies to memory from allocate_host().
  virtual void read(const std::byte* from, std::span<std::byte> to) = 0;

  /// The same on a stream of its own and from any thread, of memory that no op writes.
  [[nodiscard]] virtual std::shared_ptr<Download> start_download(const std::byte* from,
                                                                 std::span<std::byte> to) = 0;

  /// Copies within the device, pieces in any order. None overlaps another's destination.
  virtual void copy(std::span<const CopyPiece> pieces) = 0;

  /// After everything enqueued so far.
  [[nodiscard]] virtual FenceHandle fence() = 0;

  /// Makes what is enqueued from here on run after `fence`, without blocking the host; null: no
  /// wait.
  virtual void after(const FenceHandle& fence) = 0;

  /// fence() with a time. What it costs is small, but not nothing.
  [[nodiscard]] virtual StampHandle stamp() = 0;

  /// Waits until everything enqueued so far is done. @throws Error where the device has failed
  virtual void synchronize() = 0;

  /// `watch` is called again and again while the host waits for the device, and may throw: what the
  /// device is waiting for may never come. Empty: nobody watches.
  virtual void set_watch(std::function<void()> watch) = 0;

  /// Runs `ops`, which enqueues the same ops with the same arguments (the contents of memory may
  /// differ) whenever it is called with this key. A device may record them, and replay the
  /// recording without calling `ops`.
  virtual void repeat(std::uint64_t key, const std::function<void()>& ops) {
    static_cast<void>(key);
    ops();
  }

  /// The staging ring and what is needed to convert what goes through it: one for each block.
  [[nodiscard]] virtual std::vector<std::unique_ptr<Uploader>> make_uploaders(
      Ledger& ledger, const StagingRing& ring) = 0;

  /// Memory that ops use; the caller keeps it alive until all that was enqueued is done.
  /// @param scratch of this device, needs().scratch_bytes for the largest of them
  /// @param pinned of allocate_host(), needs().pinned_bytes
  /// @param rows the most of any op, as needs() was told
  virtual void set_scratch(std::span<std::byte> scratch, std::span<std::byte> pinned,
                           std::uint64_t rows) = 0;

  /// What the rows of the ops that follow are, for those that depend on sequence and position, and
  /// which of them keep_rows() keeps, ascending. Both may change as soon as this returns.
  virtual void set_rows(std::span<const RowInfo> rows, std::span<const std::uint32_t> kept) = 0;

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

  /// linear() of the same inputs for each product, with the same bits; what has to be made of the
  /// inputs is made once. Dtype and in_columns are the same for all, and no output is in `in`.
  virtual void linear_of_each(const float* in, std::span<const LinearProduct> products,
                              std::uint64_t rows);

  /// Rotates, in place, each head of each row: for i < dimensions/2, the pair (i, i + dimensions/2)
  /// by the angle whose cosine and sine are table[row, 0, i] and table[row, 1, i].
  /// table: float32 [rows, 2, dimensions / 2].
  virtual void rotary(float* x, std::uint64_t rows, std::uint32_t heads, std::uint32_t head_size,
                      std::uint32_t dimensions, const float* table) = 0;

  /// Writes the k and v [kv_heads, head_size] of each of set_rows()'s rows to its place in the
  /// cache.
  virtual void store_kv(const float* k, const float* v, const AttentionShape& shape,
                        const KvView& cache) = 0;

  /// Causal attention of each of set_rows()'s rows over positions [0, row.position] of its own
  /// sequence, or the last `window` of them. All rows' keys and values are already stored. q, out:
  /// [rows, heads * head_size].
  virtual void attention(const float* q, const AttentionShape& shape, const KvView& cache,
                         float* out) = 0;

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

  /// into[r] += table[position of row r of set_rows()]; table [context, columns] in `dtype`.
  virtual void add_positions(const std::byte* table, DType dtype, float* into,
                             std::uint64_t columns) = 0;

  /// The `chosen` experts with the largest softmax(scores[r]) for each row, largest first, of equal
  /// ones the first; `normalize` divides their weights by their sum. scores [rows, experts].
  /// @param out [rows, chosen], on the host, there when this returns
  virtual void route(const float* scores, std::uint64_t rows, std::uint32_t experts,
                     std::uint32_t chosen, bool normalize, std::span<ExpertChoice> out) = 0;

  /// Row i of x becomes its row kept[i], for those of set_rows().
  virtual void keep_rows(float* x, std::uint64_t columns) = 0;

  /// out[i] = in[rows[i]].
  virtual void take_rows(const float* in, std::span<const std::uint32_t> rows,
                         std::uint64_t columns, float* out) = 0;

  /// into[rows[i]] += weights[i] * x[i]; no row twice.
  virtual void add_rows(const float* x, std::span<const std::uint32_t> rows,
                        std::span<const float> weights, std::uint64_t columns, float* into) = 0;

  /// Whether it has sample(): worth it where logits would have to come to the host.
  [[nodiscard]] virtual bool samples() const { return false; }

  /// Chooses a token from each row of logits, as runtime/text/sampler.h does on the host: the same
  /// one, but where a rounding of the sums of probabilities decides. A row's token depends on
  /// nothing of the others. Not for repeat(): draws are other ones each time.
  /// @param logits [rows, vocabulary]
  /// @param options within their ranges; neither penalty nor seed are looked at
  /// @param draws in [0, 1), one for each row: see draw_of()
  /// @param out [rows], on the host, there when this returns
  /// @throws Error where the device has none of this
  virtual void sample(const float* logits, std::uint64_t rows, std::uint64_t vocabulary,
                      const SamplerOptions& options, std::span<const double> draws,
                      std::span<Sampled> out);
};

[[nodiscard]] inline Buffer allocate(Device& device, Ledger& ledger, MemoryCategory category,
                                     std::uint64_t bytes) {
  const BufferPart part{category, bytes};
  return device.allocate(ledger, std::span(&part, 1));
}

}  // namespace initrt
