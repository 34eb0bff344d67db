// The Device of the CPU backend: checks arguments and splits each op over the threads. What an
// output element is does not depend on the split; the kernels see to that.
#include "runtime/device/cpu/cpu_device.h"

#include <sched.h>

#include <algorithm>
#include <array>

#include "runtime/device/cpu/host_uploader.h"
#include "runtime/device/cpu/instruction_set.h"
#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/route.h"
#include "runtime/device/cpu/thread_pool.h"
#include "runtime/device/host_memory.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using cpu::AttentionBlock;
using cpu::Kernels;
using cpu::LinearBlock;
using cpu::Storage;
using cpu::ThreadPool;

/// Elements below which an elementwise op is quicker on one thread than handed out.
constexpr std::uint64_t elements_per_piece = 16384;
/// Weight bytes per piece of a linear: a few microseconds of memory bandwidth.
constexpr std::uint64_t linear_piece_bytes = 128 << 10;
/// Input bytes that stay in the second-level cache while weights pass by.
constexpr std::uint64_t linear_input_bytes = 1 << 20;
constexpr std::uint64_t cache_line = 64;

Storage storage_of(DType dtype, const char* op) {
  switch (dtype) {
    case DType::F32:
      return Storage::F32;
    case DType::BF16:
      return Storage::Bf16;
    case DType::F16:
      return Storage::F16;
    default:
      fail("cpu {}: dtype {} is not supported, expected F32, BF16 or F16", op, name(dtype));
  }
}

std::size_t index_of(Storage storage) { return static_cast<std::size_t>(storage); }

std::size_t bytes_of(Storage storage) { return storage == Storage::F32 ? 4 : 2; }

/// From one row of rounded inputs to the next: whole cache lines, and one more, so that rows of a
/// power of two do not all fall into the same cache sets.
std::uint64_t scratch_stride(std::size_t input_bytes, std::uint64_t columns) {
  return (columns * input_bytes + cache_line - 1) / cache_line * cache_line + cache_line;
}

/// Whether every one of `threads` threads has a core of its own among those this process may use.
bool cores_for(unsigned threads) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  return static_cast<unsigned>(CPU_COUNT(&allowed)) >= threads;
}

struct Downloaded final : Download {
  bool done() override { return true; }
};

// Ops have been done when they return.
struct Now final : Stamp {
  HostTime time() const override { return at; }
  const HostTime at = host_time();
};

class CpuDevice final : public Device {
 public:
  CpuDevice(InstructionSet set, unsigned threads, bool spin)
      : set_(set), kernels_(cpu::kernels_of(set)), pool_(threads, spin && cores_for(threads)) {}

  std::string name() const override {
    return fmt::format("cpu {}, {} thread{}", initrt::name(set_), pool_.threads(),
                       pool_.threads() == 1 ? "" : "s");
  }

  DeviceNeeds needs(DType dtype, std::uint64_t rows, std::uint64_t columns) const override {
    DeviceNeeds needs;
    const Storage storage = storage_of(dtype, "linear");
    if (storage != Storage::F32) {
      needs.scratch_bytes = rows * scratch_stride(kernels_.input_bytes[index_of(storage)], columns);
    }
    return needs;
  }

  Buffer allocate(Ledger& ledger, std::span<const BufferPart> parts) override {
    return allocate_host_memory(ledger, parts);
  }

  Buffer allocate_host(Ledger& ledger, MemoryCategory category, std::uint64_t bytes) override {
    return allocate_host_memory(ledger, category, bytes);
  }

  void write(std::span<const std::byte> from, std::byte* to) override {
    std::ranges::copy(from, to);
  }

  void read(const std::byte* from, std::span<std::byte> to) override {
    std::copy_n(from, to.size(), to.data());
  }

  void upload(std::span<const std::byte> from, std::byte* to) override { write(from, to); }

  std::shared_ptr<Download> start_download(const std::byte* from,
                                           std::span<std::byte> to) override {
    read(from, to);
    return std::make_shared<Downloaded>();
  }

  void copy(std::span<const CopyPiece> pieces) override {
    for (const CopyPiece& piece : pieces) std::copy_n(piece.from, piece.bytes, piece.to);
  }

  std::vector<std::unique_ptr<Uploader>> make_uploaders(Ledger& ledger,
                                                        const StagingRing& ring) override {
    return make_host_uploaders(ledger, ring);
  }

  void set_rows(std::span<const RowInfo> rows, std::span<const std::uint32_t> kept) override {
    rows_.assign(rows.begin(), rows.end());
    kept_.assign(kept.begin(), kept.end());
  }

  void set_scratch(std::span<std::byte> scratch, std::span<std::byte>, std::uint64_t) override {
    scratch_ = scratch;
  }

  void to_float(const std::byte* in, DType dtype, float* out, std::uint64_t elements) override {
    const Storage storage = storage_of(dtype, "to_float");
    const auto kernel = kernels_.to_float[index_of(storage)];
    pieces(elements, elements_per_piece, [&](std::uint64_t begin, std::uint64_t end) {
      kernel(in + begin * bytes_of(storage), out + begin, end - begin);
    });
  }

  void norm(NormKind kind, const float* in, const NormWeights& weights, float epsilon, float* out,
            std::uint64_t rows, std::uint64_t columns) override {
    const Storage storage = storage_of(weights.dtype, "norm");
    const auto kernel = kernels_.norm[static_cast<std::size_t>(kind)][index_of(storage)];
    pieces(rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        kernel({.in = in + r * columns,
                .weight = weights.weight,
                .bias = weights.bias,
                .weight_offset = weights.weight_offset,
                .epsilon = epsilon,
                .out = out + r * columns,
                .columns = columns});
      }
    });
  }

  void linear(const float* in, const LinearWeights& weights, float* out, std::uint64_t rows,
              std::uint64_t out_stride) override {
    const auto [weight, bias, dtype, in_columns, out_columns] = weights;
    const Storage storage = storage_of(dtype, "linear");
    if (out_stride < out_columns) {
      fail("cpu linear: output rows {} elements apart cannot hold {} columns", out_stride,
           out_columns);
    }
    const void* inputs = in;
    std::uint64_t stride = in_columns * sizeof(float);
    if (storage != Storage::F32) {
      stride = scratch_stride(kernels_.input_bytes[index_of(storage)], in_columns);
      inputs = round_inputs(in, storage, rows, in_columns, stride);
    }

    // Pieces of the output: all columns of one block of rows, then of the next, so that a block's
    // inputs stay in each thread's cache while the weights pass by.
    const std::uint64_t row_block =
        std::max<std::uint64_t>(linear_input_bytes / stride / kernels_.tile_rows, 4) *
        kernels_.tile_rows;
    const std::uint64_t row_blocks = (rows + row_block - 1) / row_block;
    const std::uint64_t row_bytes = std::max<std::uint64_t>(in_columns * bytes_of(storage), 1);
    const std::uint64_t fair = out_columns / (std::uint64_t{pool_.threads()} * 4);
    const std::uint64_t columns =
        (std::clamp<std::uint64_t>(fair, 1,
                                   std::max<std::uint64_t>(linear_piece_bytes / row_bytes, 4)) +
         3) /
        4 * 4;
    const std::uint64_t column_blocks = (out_columns + columns - 1) / columns;
    const auto kernel = kernels_.linear[index_of(storage)];
    const auto add_bias = kernels_.accumulate[index_of(storage)];
    pieces(row_blocks * column_blocks, 1, [&](std::uint64_t begin, std::uint64_t) {
      const std::uint64_t r = begin / column_blocks * row_block;
      const std::uint64_t o = begin % column_blocks * columns;
      const LinearBlock block{.in = static_cast<const std::byte*>(inputs) + r * stride,
                              .in_stride_bytes = stride,
                              .weight = weight + o * in_columns * bytes_of(storage),
                              .out = out + r * out_stride + o,
                              .rows = std::min(row_block, rows - r),
                              .in_columns = in_columns,
                              .out_columns = std::min(columns, out_columns - o),
                              .out_stride = out_stride};
      kernel(block);
      if (bias == nullptr) return;
      for (std::uint64_t row = 0; row < block.rows; ++row) {
        add_bias(bias + o * bytes_of(storage), block.out + row * out_stride, block.out_columns);
      }
    });
  }

  void rotary(float* x, std::uint64_t rows, std::uint32_t heads, std::uint32_t head_size,
              std::uint32_t dimensions, const float* table) override {
    if (dimensions > head_size || dimensions % 2 != 0) {
      fail("cpu rotary: {} dimensions of heads of {}, expected an even number up to the head size",
           dimensions, head_size);
    }
    const std::size_t half = dimensions / 2;
    const std::uint64_t columns = std::uint64_t{heads} * head_size;
    pieces(rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        const float* cosines = table + r * 2 * half;
        for (std::uint64_t h = 0; h < heads; ++h) {
          kernels_.rotary(x + r * columns + h * head_size, half, cosines, cosines + half);
        }
      }
    });
  }

  void store_kv(const float* k, const float* v, const AttentionShape& shape,
                const KvView& cache) override {
    const std::span<const RowInfo> rows = rows_;
    const Storage storage = storage_of(cache.dtype, "store_kv");
    check_positions(rows, cache, "store_kv");
    const auto kernel = kernels_.from_float[index_of(storage)];
    const std::uint64_t columns = std::uint64_t{shape.kv_heads} * shape.head_size;
    pieces(rows.size(), rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
          const std::uint64_t from = r * columns + std::uint64_t{h} * shape.head_size;
          const std::uint64_t to =
              cache_offset(rows[r].sequence, h, rows[r].position, shape, cache) * bytes_of(storage);
          kernel(k + from, cache.k + to, shape.head_size);
          kernel(v + from, cache.v + to, shape.head_size);
        }
      }
    });
  }

  void attention(const float* q, const AttentionShape& shape, const KvView& cache,
                 float* out) override {
    const std::span<const RowInfo> rows = rows_;
    const Storage storage = storage_of(cache.dtype, "attention");
    if (shape.kv_heads == 0 || shape.heads % shape.kv_heads != 0) {
      fail("cpu attention: {} heads over {} KV heads, expected a multiple", shape.heads,
           shape.kv_heads);
    }
    if (shape.head_size > cpu::attention_head_size) {
      fail("cpu attention: heads of {} elements, expected at most {}", shape.head_size,
           cpu::attention_head_size);
    }
    check_positions(rows, cache, "attention");

    // Pieces: a few neighbouring rows by some query heads of one KV head, no more queries than a
    // kernel's state holds. Which rows share a piece does not change what any of them gets.
    const std::uint32_t group = shape.heads / shape.kv_heads;
    const std::uint32_t heads =
        std::min<std::uint32_t>(group, static_cast<std::uint32_t>(cpu::attention_queries));
    const std::uint32_t head_blocks = (group + heads - 1) / heads;
    const std::uint64_t piece_rows = std::max<std::uint64_t>(cpu::attention_queries / heads, 1);
    const std::uint64_t row_blocks = (rows.size() + piece_rows - 1) / piece_rows;
    const std::uint64_t columns = std::uint64_t{shape.heads} * shape.head_size;
    const std::uint64_t pieces_per_rows = std::uint64_t{shape.kv_heads} * head_blocks;
    pieces(row_blocks * pieces_per_rows, 1, [&](std::uint64_t piece, std::uint64_t) {
      const std::uint64_t begin = piece / pieces_per_rows * piece_rows;
      const auto some = rows.subspan(begin, std::min(piece_rows, rows.size() - begin));
      const auto kv_head = static_cast<std::uint32_t>(piece % pieces_per_rows / head_blocks);
      const auto first = static_cast<std::uint32_t>(piece % head_blocks) * heads;
      const std::uint64_t column = (std::uint64_t{kv_head} * group + first) * shape.head_size;
      AttentionBlock block{.q = q + begin * columns + column,
                           .out = out + begin * columns + column,
                           .row_stride = columns,
                           .rows = 0,
                           .heads = std::min(heads, group - first),
                           .positions = nullptr,
                           .head_size = shape.head_size,
                           .k = nullptr,
                           .v = nullptr,
                           .scale = shape.scale,
                           .softcap = shape.softcap,
                           .window = shape.window};
      attend(some, kv_head, shape, cache, storage, block);
    });
  }

  void gate(GateFunction function, const float* gate, const float* up, float* out,
            std::uint64_t elements) override {
    const auto kernel = kernels_.gate[static_cast<std::size_t>(function)];
    pieces(elements, elements_per_piece, [&](std::uint64_t begin, std::uint64_t end) {
      kernel(gate + begin, up == nullptr ? nullptr : up + begin, out + begin, end - begin);
    });
  }

  void add(const float* x, float* into, std::uint64_t elements) override {
    pieces(elements, elements_per_piece, [&](std::uint64_t begin, std::uint64_t end) {
      kernels_.add(x + begin, 1.0f, into + begin, end - begin);
    });
  }

  void scale(float* x, float factor, std::uint64_t elements) override {
    pieces(elements, elements_per_piece, [&](std::uint64_t begin, std::uint64_t end) {
      kernels_.scale(x + begin, factor, end - begin);
    });
  }

  void softcap(float* x, float cap, std::uint64_t rows, std::uint64_t columns,
               std::uint64_t stride) override {
    const std::uint64_t pieces_per_row = (columns + elements_per_piece - 1) / elements_per_piece;
    pieces(rows * pieces_per_row, 1, [&](std::uint64_t piece, std::uint64_t) {
      const std::uint64_t begin = piece % pieces_per_row * elements_per_piece;
      kernels_.softcap(x + piece / pieces_per_row * stride + begin, cap,
                       std::min(elements_per_piece, columns - begin));
    });
  }

  void add_positions(const std::byte* table, DType dtype, float* into,
                     std::uint64_t columns) override {
    const std::span<const RowInfo> rows = rows_;
    const Storage storage = storage_of(dtype, "add_positions");
    const auto kernel = kernels_.accumulate[index_of(storage)];
    pieces(rows.size(), rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        const std::uint64_t element = rows[r].position * columns;
        kernel(table + element * bytes_of(storage), into + r * columns, columns);
      }
    });
  }

  void route(const float* scores, std::uint64_t rows, std::uint32_t experts, std::uint32_t chosen,
             bool normalize, std::span<Choice> out) override {
    if (chosen > experts || out.size() < rows * chosen) {
      fail("cpu route: {} of {} experts for {} rows into room for {}", chosen, experts, rows,
           out.size());
    }
    pieces(rows, rows_per_piece(experts), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        cpu::choose_experts({scores + r * experts, experts}, normalize, kernels_,
                            out.subspan(r * chosen, chosen));
      }
    });
  }

  void keep_rows(float* x, std::uint64_t columns) override { take_rows(x, kept_, columns, x); }

  void take_rows(const float* in, std::span<const std::uint32_t> rows, std::uint64_t columns,
                 float* out) override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float* from = in + rows[i] * columns;
      float* to = out + i * columns;
      if (from != to) std::copy_n(from, columns, to);
    }
  }

  void add_rows(const float* x, std::span<const std::uint32_t> rows, std::span<const float> weights,
                std::uint64_t columns, float* into) override {
    pieces(rows.size(), rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t i = begin; i < end; ++i) {
        kernels_.add(x + i * columns, weights[i], into + rows[i] * columns, columns);
      }
    });
  }

  // Every op returns when it is done.
  FenceHandle fence() override { return nullptr; }
  void after(const FenceHandle&) override {}
  StampHandle stamp() override { return std::make_shared<Now>(); }
  void synchronize() override {}
  void set_watch(std::function<void()>) override {}

 private:
  /// body(begin, end) over [0, total) in pieces of `piece`, or of more where they would be many.
  template <class Body>
  void pieces(std::uint64_t total, std::uint64_t piece, const Body& body) {
    constexpr std::uint64_t most = UINT32_MAX;
    piece = std::max(piece, total / most + 1);
    const auto count = static_cast<std::uint32_t>((total + piece - 1) / piece);
    pool_.parallel_for(count, [&](std::uint32_t i) {
      const std::uint64_t begin = i * piece;
      body(begin, std::min(begin + piece, total));
    });
  }

  static std::uint64_t rows_per_piece(std::uint64_t columns) {
    return std::max<std::uint64_t>(elements_per_piece / std::max<std::uint64_t>(columns, 1), 1);
  }

  static std::uint64_t cache_offset(std::uint32_t sequence, std::uint32_t kv_head,
                                    std::uint32_t position, const AttentionShape& shape,
                                    const KvView& cache) {
    const std::uint64_t head = std::uint64_t{sequence} * shape.kv_heads + kv_head;
    return (head * cache.context + position) * shape.head_size;
  }

  static void check_positions(std::span<const RowInfo> rows, const KvView& cache, const char* op) {
    for (const RowInfo& row : rows) {
      if (row.position >= cache.context) {
        fail("cpu {}: position {} of sequence {} is outside of a KV cache of {} positions", op,
             row.position, row.sequence, cache.context);
      }
    }
  }

  const void* round_inputs(const float* in, Storage storage, std::uint64_t rows,
                           std::uint64_t columns, std::uint64_t stride) {
    if (scratch_.size() < rows * stride) {
      fail("cpu linear: {} bytes of scratch for {} rows of {} columns, expected {}",
           scratch_.size(), rows, columns, rows * stride);
    }
    const auto kernel = kernels_.round_inputs[index_of(storage)];
    pieces(rows, rows_per_piece(columns), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t r = begin; r < end; ++r) {
        kernel(in + r * columns, scratch_.data() + r * stride, columns);
      }
    });
    return scratch_.data();
  }

  /// Hands each run of rows of one sequence to the kernel. `block` describes the first row.
  void attend(std::span<const RowInfo> rows, std::uint32_t kv_head, const AttentionShape& shape,
              const KvView& cache, Storage storage, AttentionBlock block) const {
    std::array<std::uint32_t, cpu::attention_queries> positions;
    block.positions = positions.data();
    while (!rows.empty()) {
      block.rows = 0;
      while (block.rows < rows.size() && rows[block.rows].sequence == rows[0].sequence) {
        positions[block.rows] = rows[block.rows].position;
        ++block.rows;
      }
      const std::uint64_t offset =
          cache_offset(rows[0].sequence, kv_head, 0, shape, cache) * bytes_of(storage);
      block.k = cache.k + offset;
      block.v = cache.v + offset;
      kernels_.attention[index_of(storage)](block);
      block.q += block.rows * block.row_stride;
      block.out += block.rows * block.row_stride;
      rows = rows.subspan(block.rows);
    }
  }

  const InstructionSet set_;
  const Kernels& kernels_;
  ThreadPool pool_;
  std::span<std::byte> scratch_;
  std::vector<RowInfo> rows_;
  std::vector<std::uint32_t> kept_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(InstructionSet set, unsigned threads, bool spin) {
  return std::make_unique<CpuDevice>(set, threads, spin);
}

}  // namespace initrt
