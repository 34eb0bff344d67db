#include "runtime/device/cpu/attention.h"

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/device/cpu/pieces.h"
#include "runtime/device/cpu/storage.h"
#include "sharding/error.h"

namespace initrt::cpu {
namespace {

/// Which of all rows of a KV cache, of keys or of values, is a position's.
std::uint64_t cache_row(std::uint32_t sequence, std::uint32_t kv_head, std::uint32_t position,
                        const AttentionShape& shape, const KvView& cache) {
  const std::uint64_t head = std::uint64_t{sequence} * shape.kv_heads + kv_head;
  return head * cache.positions + position % cache.positions;
}

void check_positions(std::span<const RowInfo> rows, const KvView& cache, const char* op) {
  if (cache.ring && cache.positions % kKvTile != 0) {
    fail("cpu {}: a ring of {} positions, expected a multiple of {}", op, cache.positions, kKvTile);
  }
  for (const RowInfo& row : rows) {
    if (row.position >= cache.positions && !cache.ring) {
      fail("cpu {}: position {} of sequence {} is outside of a KV cache of {} positions", op,
           row.position, row.sequence, cache.positions);
    }
  }
}

/// Of ALiBi's biases, by heads; empty where there are none.
std::vector<float> rates_of(const AttentionShape& shape) {
  std::vector<float> rates;
  if (shape.alibi.exponent == 0) return rates;
  for (std::uint32_t h = 0; h < shape.heads; ++h) rates.push_back(alibi_rate(shape.alibi, h));
  return rates;
}

/// Hands each run of rows of one sequence to the kernel. `block` describes the first row.
void attend(const Kernels& kernels, std::span<const RowInfo> rows, std::uint32_t kv_head,
            const AttentionShape& shape, const KvView& cache, Storage storage,
            AttentionBlock block) {
  std::array<std::uint32_t, attention_queries> positions;
  block.positions = positions.data();
  while (!rows.empty()) {
    block.rows = 0;
    while (block.rows < rows.size() && rows[block.rows].sequence == rows[0].sequence) {
      positions[block.rows] = rows[block.rows].position;
      ++block.rows;
    }
    const std::uint64_t first = cache_row(rows[0].sequence, kv_head, 0, shape, cache);
    block.k = cache.k + first * shape.head_size * bytes_of(storage);
    block.v =
        cache.v == nullptr ? block.k : cache.v + first * block.value_stride * bytes_of(storage);
    kernels.attention[index_of(storage)](block);
    block.q += block.rows * block.row_stride;
    block.out += block.rows * block.out_stride;
    rows = rows.subspan(block.rows);
  }
}

}  // namespace

void store_kv(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
              const float* k, const float* v, const AttentionShape& shape, const KvView& cache) {
  const Storage storage = storage_of(cache.dtype, "store_kv");
  check_positions(rows, cache, "store_kv");
  const auto kernel = kernels.from_float[index_of(storage)];
  const std::uint64_t columns = std::uint64_t{shape.kv_heads} * shape.head_size;
  const auto store = [&](const float* from, std::byte* to, std::uint64_t size, std::uint64_t r,
                         std::uint32_t head) {
    const std::uint64_t row = cache_row(rows[r].sequence, head, rows[r].position, shape, cache);
    kernel(from + (r * shape.kv_heads + head) * size, to + row * size * bytes_of(storage), size);
  };
  for_pieces(pool, rows.size(), rows_per_piece(columns),
             [&](std::uint64_t begin, std::uint64_t end) {
               for (std::uint64_t r = begin; r < end; ++r) {
                 for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
                   store(k, cache.k, shape.head_size, r, h);
                   if (cache.v != nullptr) store(v, cache.v, shape.value(), r, h);
                 }
               }
             });
}

void attention(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
               const float* q, const AttentionShape& shape, const KvView& cache, float* out) {
  const Storage storage = storage_of(cache.dtype, "attention");
  if (shape.kv_heads == 0 || shape.heads % shape.kv_heads != 0) {
    fail("cpu attention: {} heads over {} KV heads, expected a multiple", shape.heads,
         shape.kv_heads);
  }
  if (std::max(shape.head_size, shape.value()) > attention_head_size) {
    fail("cpu attention: heads of {} elements, expected at most {}",
         std::max(shape.head_size, shape.value()), attention_head_size);
  }
  if (cache.v == nullptr && shape.value() > shape.head_size) {
    fail("cpu attention: values of {} elements are no part of keys of {}", shape.value(),
         shape.head_size);
  }
  check_positions(rows, cache, "attention");

  // Pieces: a few neighbouring rows by some query heads of one KV head, no more queries than a
  // kernel's state holds. Which rows share a piece does not change what any of them gets.
  const std::uint32_t group = shape.heads / shape.kv_heads;
  const std::uint32_t heads =
      std::min<std::uint32_t>(group, static_cast<std::uint32_t>(attention_queries));
  const std::uint32_t head_blocks = (group + heads - 1) / heads;
  const std::uint64_t piece_rows = std::max<std::uint64_t>(attention_queries / heads, 1);
  const std::uint64_t row_blocks = (rows.size() + piece_rows - 1) / piece_rows;
  const std::uint64_t columns = std::uint64_t{shape.heads} * shape.head_size;
  const std::uint64_t out_columns = std::uint64_t{shape.heads} * shape.value();
  const std::uint64_t pieces_per_rows = std::uint64_t{shape.kv_heads} * head_blocks;
  const std::vector<float> sinks = dense_floats(shape.sinks, shape.heads);
  const std::vector<float> rates = rates_of(shape);
  for_pieces(pool, row_blocks * pieces_per_rows, 1, [&](std::uint64_t piece, std::uint64_t) {
    const std::uint64_t begin = piece / pieces_per_rows * piece_rows;
    const auto some = rows.subspan(begin, std::min(piece_rows, rows.size() - begin));
    const auto kv_head = static_cast<std::uint32_t>(piece % pieces_per_rows / head_blocks);
    const auto first = static_cast<std::uint32_t>(piece % head_blocks) * heads;
    const std::uint64_t head = std::uint64_t{kv_head} * group + first;
    const AttentionBlock block{.q = q + begin * columns + head * shape.head_size,
                               .out = out + begin * out_columns + head * shape.value(),
                               .row_stride = columns,
                               .out_stride = out_columns,
                               .rows = 0,
                               .heads = std::min(heads, group - first),
                               .positions = nullptr,
                               .head_size = shape.head_size,
                               .value_size = shape.value(),
                               .k = nullptr,
                               .v = nullptr,
                               .value_stride = cache.v == nullptr ? shape.head_size : shape.value(),
                               .cached = cache.positions,
                               .scale = shape.scale,
                               .softcap = shape.softcap,
                               .window = shape.window,
                               .chunks = shape.chunks,
                               .sinks = sinks.empty() ? nullptr : sinks.data() + head,
                               .rates = rates.empty() ? nullptr : rates.data() + head,
                               .bias_scale = shape.alibi.scale,
                               .rounded_biases = shape.alibi.rounded};
    attend(kernels, some, kv_head, shape, cache, storage, block);
  });
}

}  // namespace initrt::cpu
