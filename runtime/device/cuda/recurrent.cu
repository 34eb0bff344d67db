// What reads a sequence row by row: short convolutions and the gated delta rule. Rows are taken one
// after the other, by threads that found out from `rows` where a sequence begins: a recorded launch
// serves any rows.
#include <algorithm>
#include <cmath>

#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/functions.cuh"
#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/sequences.cuh"
#include "runtime/device/cuda/vectors.cuh"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {
namespace {

/// A column of all rows of the sequence that begins with a row.
template <DType Type>
struct Convolve {
  float* x;
  const RowInfo* rows;
  const typename Element<Type>::Stored*
      taps;  // in blocks of `block_rows`, `block_step` elements apart
  RowBlocks bias;
  float* states;
  std::uint64_t count, columns, block_rows, block_step;
  int first;  // taps and inputs stand at the end of arrays of the most

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    if (!begins(rows, row)) return;
    for (int k = 0; k < kCount; ++k) one(row, column + k);
  }

  __device__ void one(std::uint64_t row, std::uint64_t column) const {
    constexpr int kMost = kMaxTaps;
    float weights[kMost], inputs[kMost];  // of which the last is the row's own
    const std::uint64_t before = kMost - 1 - first;
    float* const state = states + rows[row].sequence * before * columns + column;
    const bool fresh = rows[row].position == 0;
#pragma unroll
    for (int j = 0; j < kMost; ++j) {
      weights[j] = inputs[j] = 0;
      if (j < first) continue;
      const std::uint64_t tap = j - first;
      weights[j] = Element<Type>::widen(
          taps[tap / block_rows * block_step + tap % block_rows * columns + column]);
      if (j < kMost - 1 && !fresh) inputs[j] = state[tap * columns];
    }
    const std::uint64_t end = end_of(rows, count, row);
    const float added = bias.base != nullptr ? element(bias, column) : 0.0f;
    for (std::uint64_t r = row; r < end; ++r) {
      float* const place = x + r * columns + column;
      inputs[kMost - 1] = *place;
      float sum = added;
#pragma unroll
      for (int j = 0; j < kMost; ++j) {
        if (j >= first) sum = fmaf(weights[j], inputs[j], sum);
      }
      *place = Silu::of(sum);
#pragma unroll
      for (int j = 0; j < kMost - 1; ++j) inputs[j] = inputs[j + 1];
    }
#pragma unroll
    for (int j = 0; j < kMost - 1; ++j) {
      if (j >= first) state[(j - first) * columns] = inputs[j];
    }
  }
};

/// x = factor * x / sqrt(sum of squares + 1e-6) of each head of q, and of k with a factor of 1: a
/// warp each.
__global__ void __launch_bounds__(kThreads)
    normalize_heads(float* q, float* k, std::uint64_t heads, std::uint32_t size, float q_factor) {
  float* const all = blockIdx.y == 0 ? q : k;
  const float factor = blockIdx.y == 0 ? q_factor : 1.0f;
  const std::uint64_t step = std::uint64_t{gridDim.x} * (kThreads / kWarp);
  for (std::uint64_t head = std::uint64_t{blockIdx.x} * (kThreads / kWarp) + threadIdx.x / kWarp;
       head < heads; head += step) {
    float* const x = all + head * size;
    float squares = 0;
    for (std::uint32_t i = threadIdx.x % kWarp; i < size; i += kWarp) {
      squares = fmaf(x[i], x[i], squares);
    }
    squares = sum_over_warp(squares);
    const float length = factor / sqrtf(squares + 1e-6f);
    for (std::uint32_t i = threadIdx.x % kWarp; i < size; i += kWarp) x[i] *= length;
  }
}

struct DeltaGates {
  RowBlocks a_log, dt_bias;
  float* decay;
  float* beta;
  std::uint64_t heads;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t head) const {
    for (int k = 0; k < kCount; ++k) {
      const std::uint64_t i = row * heads + head + k;
      const float step = softplus(decay[i] + element(dt_bias, head + k));
      decay[i] = exp(-(exp(element(a_log, head + k)) * step));
      beta[i] = Sigmoid::of(beta[i]);
    }
  }
};

struct DeltaArguments {
  DeltaRows of;
  const RowInfo* rows;
  std::uint64_t count;
  float* states;
  std::uint32_t key_heads, value_heads, key_size, value_size;
  std::uint32_t blocks;  // of a head's values
};

/// A warp has some values of a head, a thread one of them with its column of the state, which stays
/// in shared memory from the sequence's first row to its last.
__global__ void __launch_bounds__(kWarp) delta_values(DeltaArguments delta) {
  auto* const state = reinterpret_cast<float*>(dynamic_shared());  // [key_size, kWarp]
  float* const q = state + delta.key_size * kWarp;
  float* const k = q + delta.key_size;
  const std::uint32_t head = blockIdx.x / delta.blocks, lane = threadIdx.x;
  const std::uint32_t value = blockIdx.x % delta.blocks * kWarp + lane;
  const bool has_value = value < delta.value_size;
  const std::uint32_t key_head = head / (delta.value_heads / delta.key_heads);
  for (std::uint64_t first = blockIdx.y; first < delta.count; first += gridDim.y) {
    if (!begins(delta.rows, first)) continue;
    const std::uint64_t of_head =
        std::uint64_t{delta.rows[first].sequence} * delta.value_heads + head;
    float* const stored = delta.states + of_head * delta.key_size * delta.value_size + value;
    const bool fresh = delta.rows[first].position == 0;
    for (std::uint32_t i = 0; i < delta.key_size; ++i) {
      state[i * kWarp + lane] =
          fresh || !has_value ? 0.0f : stored[std::uint64_t{i} * delta.value_size];
    }
    const std::uint64_t end = end_of(delta.rows, delta.count, first);
    for (std::uint64_t row = first; row < end; ++row) {
      const std::uint64_t key = (row * delta.key_heads + key_head) * delta.key_size;
      __syncwarp();  // whoever still reads the last row's
      for (std::uint32_t i = lane; i < delta.key_size; i += kWarp) {
        q[i] = delta.of.q[key + i];
        k[i] = delta.of.k[key + i];
      }
      __syncwarp();
      if (!has_value) continue;
      const std::uint64_t gate = row * delta.value_heads + head;
      const float decay = delta.of.decay[gate];
      float recalled = 0;
      for (std::uint32_t i = 0; i < delta.key_size; ++i) {
        const float s = state[i * kWarp + lane] * decay;
        state[i * kWarp + lane] = s;
        recalled = fmaf(s, k[i], recalled);
      }
      const std::uint64_t place = gate * delta.value_size + value;
      const float change = (delta.of.v[place] - recalled) * delta.of.beta[gate];
      float out = 0;
      for (std::uint32_t i = 0; i < delta.key_size; ++i) {
        const float s = fmaf(k[i], change, state[i * kWarp + lane]);
        state[i * kWarp + lane] = s;
        out = fmaf(s, q[i], out);
      }
      delta.of.out[place] = out;
    }
    if (!has_value) continue;
    for (std::uint32_t i = 0; i < delta.key_size; ++i) {
      stored[std::uint64_t{i} * delta.value_size] = state[i * kWarp + lane];
    }
  }
}

}  // namespace

void convolve(cudaStream_t stream, float* x, const RowInfo* rows, std::uint64_t count,
              const ConvolutionWeights& weights, std::uint64_t columns, float* states) {
  with_dtype(weights.dtype, [&]<DType Type>() {
    const std::uint64_t step = weights.taps.stride / sizeof(typename Element<Type>::Stored);
    launch_each_of_rows(stream,
                        Convolve<Type>{x, rows, stored<Type>(weights.taps.base), weights.bias,
                                       states, count, columns, weights.taps.rows, step,
                                       static_cast<int>(kMaxTaps - weights.count)},
                        count, columns, false);
  });
}

void delta_rule(cudaStream_t stream, const RowInfo* rows, std::uint64_t count, const DeltaRows& of,
                const DeltaShape& shape, float* states) {
  if (count == 0) return;
  const std::uint64_t heads = count * shape.key_heads;
  constexpr std::uint64_t kHeadsOfBlock = kThreads / kWarp;
  const auto blocks =
      static_cast<unsigned>(std::min(kBlocksAtMost, (heads + kHeadsOfBlock - 1) / kHeadsOfBlock));
  launch<normalize_heads>(dim3(blocks, 2), kThreads, 0, stream, of.q, of.k, heads, shape.key_size,
                          1.0f / std::sqrt(static_cast<float>(shape.key_size)));
  launch_each_of_rows(stream,
                      DeltaGates{shape.a_log, shape.dt_bias, of.decay, of.beta, shape.value_heads},
                      count, shape.value_heads, false);
  const std::uint32_t value_blocks = (shape.value_size + kWarp - 1) / kWarp;
  const DeltaArguments delta{of,
                             rows,
                             count,
                             states,
                             shape.key_heads,
                             shape.value_heads,
                             shape.key_size,
                             shape.value_size,
                             value_blocks};
  const std::size_t shared =
      (std::size_t{shape.key_size} * kWarp + 2 * shape.key_size) * sizeof(float);
  launch<delta_values>(
      dim3(shape.value_heads * value_blocks, static_cast<unsigned>(std::min(kRowsAtMost, count))),
      kWarp, shared, stream, delta);
}

}  // namespace initrt::cuda
