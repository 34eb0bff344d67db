// Ops that go by rows: what is added to each, rotary embedding, the KV cache, rows by number.
#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/kernels.h"

namespace initrt::cuda {
namespace {

/// into[row, column] += x[column], where x is the same for all rows or goes by their positions:
/// then in blocks of `block_rows`, `block_step` elements apart.
template <DType Type>
struct AddRow {
  const typename Element<Type>::Stored* x;
  const RowInfo* rows;  // null: the same for all
  float* into;
  std::uint64_t columns, stride;
  std::uint64_t block_rows = 1, block_step = 0;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    std::uint64_t from = 0;
    if (rows != nullptr) {
      const std::uint64_t position = rows[row].position;
      from = position / block_rows * block_step + position % block_rows * columns;
    }
    float* const place = into + row * stride + column;
    auto sum = load<kCount>(place);
    const auto term = load<Type, kCount>(x + from + column);
#pragma unroll
    for (int k = 0; k < kCount; ++k) sum.of[k] += term.of[k];
    store(place, sum);
  }
};

/// Columns are the pairs of all heads.
struct Rotary {
  float* x;
  const float* table;
  std::uint64_t stride;  // from row to row
  std::uint32_t head_size, half;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    const auto pair = static_cast<std::uint32_t>(column);
    const std::uint32_t head = pair / half, i = pair % half;
    const float* const angles = table + row * 2 * half + i;
    float* const place = x + row * stride + std::uint64_t{head} * head_size + i;
    const auto c = load<kCount>(angles), s = load<kCount>(angles + half);
    auto low = load<kCount>(place), high = load<kCount>(place + half);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const float before = low.of[k];
      low.of[k] = before * c.of[k] - high.of[k] * s.of[k];
      high.of[k] = high.of[k] * c.of[k] + before * s.of[k];
    }
    store(place, low);
    store(place + half, high);
  }
};

/// Keys, or values. Columns are the elements of all KV heads.
template <DType Type>
struct StoreKv {
  using Stored = typename Element<Type>::Stored;
  const float* in;
  const RowInfo* rows;
  Stored* cache;
  std::uint32_t kv_heads, size, positions;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    const RowInfo info = rows[row];
    const auto element = static_cast<std::uint32_t>(column);
    const std::uint32_t head = element / size, i = element % size;
    const std::uint64_t from = row * kv_heads * size + column;
    const std::uint64_t line =
        (std::uint64_t{info.sequence} * kv_heads + head) * positions + info.position % positions;
    store<Type>(cache + line * size + i, load<kCount>(in + from));
  }
};

struct TakeRow {
  const float* in;
  const std::uint32_t* rows;
  const float* weights;  // may be null
  float* out;
  std::uint64_t columns;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    const float weight = weights == nullptr ? 1.0f : weights[row];
    auto values = load<kCount>(in + rows[row] * columns + column);
#pragma unroll
    for (int k = 0; k < kCount; ++k) values.of[k] *= weight;
    store(out + row * columns + column, values);
  }
};

/// All rows of some columns, in order: they ascend, so that what is read has not been written yet,
/// even where it is read kAhead rows before it is needed. One "row" of a grid.
struct TakeRowsInPlace {
  static constexpr int kAhead = 4;
  float* x;
  const std::uint32_t* rows;
  std::uint64_t count, columns;

  template <int kCount>
  __device__ void at(std::uint64_t, std::uint64_t column) const {
    std::uint64_t row = 0;
    for (; row + kAhead <= count; row += kAhead) {
      Several<float, kCount> values[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        values[k] = load<kCount>(x + rows[row + k] * columns + column);
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k) store(x + (row + k) * columns + column, values[k]);
    }
    for (; row < count; ++row) {
      store(x + row * columns + column, load<kCount>(x + rows[row] * columns + column));
    }
  }
};

struct AddToRow {
  const float* x;
  const std::uint32_t* rows;
  const float* weights;  // may be null
  float* into;
  std::uint64_t columns;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    float* const place = into + rows[row] * columns + column;
    const float weight = weights == nullptr ? 1.0f : weights[row];
    auto sum = load<kCount>(place);
    const auto term = load<kCount>(x + row * columns + column);
#pragma unroll
    for (int k = 0; k < kCount; ++k) sum.of[k] += term.of[k] * weight;
    store(place, sum);
  }
};

}  // namespace

void add_bias(cudaStream_t stream, const std::byte* bias, DType dtype, float* into,
              std::uint64_t rows, std::uint64_t columns, std::uint64_t stride) {
  with_dtype(dtype, [&]<DType Type>() {
    launch_each_of_rows(stream, AddRow<Type>{stored<Type>(bias), nullptr, into, columns, stride},
                        rows, columns, aligned_16(bias, into) && stride % kVector == 0);
  });
}

void add_positions(cudaStream_t stream, const RowBlocks& table, DType dtype, const RowInfo* rows,
                   std::uint64_t count, float* into, std::uint64_t columns) {
  with_dtype(dtype, [&]<DType Type>() {
    const std::uint64_t step = table.stride / sizeof(typename Element<Type>::Stored);
    launch_each_of_rows(
        stream,
        AddRow<Type>{stored<Type>(table.base), rows, into, columns, columns, table.rows, step},
        count, columns,
        aligned_16(table.base, into) && columns % kVector == 0 && step % kVector == 0);
  });
}

void rotary(cudaStream_t stream, float* x, std::uint64_t rows, std::uint32_t heads,
            std::uint32_t head_size, std::uint32_t dimensions, const float* table) {
  const std::uint32_t half = dimensions / 2;
  launch_each_of_rows(stream, Rotary{x, table, std::uint64_t{heads} * head_size, head_size, half},
                      rows, std::uint64_t{heads} * half,
                      aligned_16(x, table) && head_size % kVector == 0 && half % kVector == 0);
}

void store_kv(cudaStream_t stream, const float* k, const float* v, const RowInfo* rows,
              std::uint64_t count, const AttentionShape& shape, const KvView& cache) {
  with_dtype(cache.dtype, [&]<DType Type>() {
    constexpr int kCount = 16 / sizeof(typename Element<Type>::Stored);
    const auto store_lines = [&](const float* in, std::byte* to, std::uint32_t size) {
      launch_each_of_rows<kCount>(
          stream, StoreKv<Type>{in, rows, stored<Type>(to), shape.kv_heads, size, cache.positions},
          count, std::uint64_t{shape.kv_heads} * size, aligned_16(in, to) && size % kCount == 0);
    };
    store_lines(k, cache.k, shape.head_size);
    if (cache.v != nullptr) store_lines(v, cache.v, shape.value());
  });
}

void take_rows(cudaStream_t stream, const float* in, const std::uint32_t* rows,
               const float* weights, std::uint64_t count, std::uint64_t columns, float* out) {
  const bool aligned = aligned_16(in, out) && columns % kVector == 0;
  if (in != out) {
    launch_each_of_rows(stream, TakeRow{in, rows, weights, out, columns}, count, columns, aligned);
  } else if (count > 0) {
    launch_each_of_rows(stream, TakeRowsInPlace{out, rows, count, columns}, 1, columns, aligned);
  }
}

void add_rows(cudaStream_t stream, const float* x, const std::uint32_t* rows, const float* weights,
              std::uint64_t count, std::uint64_t columns, float* into) {
  launch_each_of_rows(stream, AddToRow{x, rows, weights, into, columns}, count, columns,
                      aligned_16(x, into) && columns % kVector == 0);
}

}  // namespace initrt::cuda
