// Mamba 2's state space, row by row like all that keeps a state (recurrent.cu).
#include <algorithm>

#include "runtime/device/cuda/functions.cuh"
#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/sequences.cuh"
#include "runtime/device/cuda/vectors.cuh"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {
namespace {

struct StateSpaceGates {
  RowBlocks a_log, dt_bias;
  float* step;
  float* decay;
  std::uint64_t heads;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t head) const {
    for (int k = 0; k < kCount; ++k) {
      const std::uint64_t i = row * heads + head + k;
      step[i] = softplus(step[i] + element(dt_bias, head + k));
      decay[i] = exp(-(exp(element(a_log, head + k)) * step[i]));
    }
  }
};

struct StateSpaceArguments {
  StateSpaceRows of;
  RowBlocks d;
  const RowInfo* rows;
  std::uint64_t count;
  float* states;
  std::uint32_t groups, heads, state_size, head_size;
  std::uint32_t blocks;  // of a head's values
};

/// A warp has some values of a head, a thread one of them with its column of the state, which stays
/// in shared memory from the sequence's first row to its last.
__global__ void __launch_bounds__(kWarp) state_space_values(StateSpaceArguments space) {
  auto* const state = reinterpret_cast<float*>(dynamic_shared());  // [state_size, kWarp]
  float* const b = state + space.state_size * kWarp;
  float* const c = b + space.state_size;
  const std::uint32_t head = blockIdx.x / space.blocks, lane = threadIdx.x;
  const std::uint32_t value = blockIdx.x % space.blocks * kWarp + lane;
  const bool has_value = value < space.head_size;
  const std::uint32_t group = head / (space.heads / space.groups);
  const float skip = element(space.d, head);
  for (std::uint64_t first = blockIdx.y; first < space.count; first += gridDim.y) {
    if (!begins(space.rows, first)) continue;
    const std::uint64_t of_head = std::uint64_t{space.rows[first].sequence} * space.heads + head;
    float* const stored = space.states + of_head * space.state_size * space.head_size + value;
    const bool fresh = space.rows[first].position == 0;
    for (std::uint32_t i = 0; i < space.state_size; ++i) {
      state[i * kWarp + lane] =
          fresh || !has_value ? 0.0f : stored[std::uint64_t{i} * space.head_size];
    }
    const std::uint64_t end = end_of(space.rows, space.count, first);
    for (std::uint64_t row = first; row < end; ++row) {
      const std::uint64_t of_group = (row * space.groups + group) * space.state_size;
      __syncwarp();  // whoever still reads the last row's
      for (std::uint32_t i = lane; i < space.state_size; i += kWarp) {
        b[i] = space.of.b[of_group + i];
        c[i] = space.of.c[of_group + i];
      }
      __syncwarp();
      if (!has_value) continue;
      const std::uint64_t gate = row * space.heads + head;
      const std::uint64_t place = gate * space.head_size + value;
      const float x = space.of.x[place], decay = space.of.decay[gate];
      const float taken = x * space.of.step[gate];
      float sum = 0;
      for (std::uint32_t i = 0; i < space.state_size; ++i) {
        const float s = fmaf(b[i], taken, state[i * kWarp + lane] * decay);
        state[i * kWarp + lane] = s;
        sum = fmaf(s, c[i], sum);
      }
      space.of.out[place] = fmaf(x, skip, sum);
    }
    if (!has_value) continue;
    for (std::uint32_t i = 0; i < space.state_size; ++i) {
      stored[std::uint64_t{i} * space.head_size] = state[i * kWarp + lane];
    }
  }
}

}  // namespace

void state_space(cudaStream_t stream, const RowInfo* rows, std::uint64_t count,
                 const StateSpaceRows& of, const StateSpaceShape& shape, float* states) {
  if (count == 0) return;
  launch_each_of_rows(stream,
                      StateSpaceGates{shape.a_log, shape.dt_bias, of.step, of.decay, shape.heads},
                      count, shape.heads, false);
  const std::uint32_t blocks = (shape.head_size + kWarp - 1) / kWarp;
  const StateSpaceArguments space{of,          shape.d,          rows,
                                  count,       states,           shape.groups,
                                  shape.heads, shape.state_size, shape.head_size,
                                  blocks};
  const std::size_t shared =
      (std::size_t{shape.state_size} * kWarp + 2 * shape.state_size) * sizeof(float);
  launch<state_space_values>(
      dim3(shape.heads * blocks, static_cast<unsigned>(std::min(kRowsAtMost, count))), kWarp,
      shared, stream, space);
}

}  // namespace initrt::cuda
