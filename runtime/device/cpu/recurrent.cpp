#include "runtime/device/cpu/recurrent.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/device/cpu/pieces.h"
#include "runtime/device/cpu/storage.h"

namespace initrt::cpu {
namespace {

static_assert(convolution_taps == kMaxTaps && delta_key_size == kMaxKeySize);

/// Neighbouring rows of one sequence.
struct Run {
  std::uint64_t first = 0, count = 0;
  std::uint64_t sequence = 0;
  bool fresh = false;  ///< it begins with position 0
};

std::vector<Run> runs_of(std::span<const RowInfo> rows) {
  std::vector<Run> runs;
  for (std::uint64_t row = 0; row < rows.size(); ++row) {
    const bool next = row > 0 && rows[row].sequence == rows[row - 1].sequence;
    if (!next) runs.push_back({row, 0, rows[row].sequence, rows[row].position == 0});
    ++runs.back().count;
  }
  return runs;
}

/// Some values of a head, in the rows of one run.
struct HeadPiece {
  const Run& run;
  std::uint64_t head, first, values;
};

/// body(HeadPiece) for all heads of all runs, `width` values at a time: a value's column of the
/// state has nothing to do with the others.
template <class Body>
void for_heads(ThreadPool& pool, std::span<const RowInfo> rows, std::uint64_t heads,
               std::uint64_t head_size, std::uint64_t width, const Body& body) {
  const std::vector<Run> runs = runs_of(rows);
  const std::uint64_t blocks = (head_size + width - 1) / width;
  for_pieces(pool, runs.size() * heads * blocks, 1, [&](std::uint64_t piece, std::uint64_t) {
    const std::uint64_t first = piece % blocks * width;
    body(HeadPiece{runs[piece / blocks / heads], piece / blocks % heads, first,
                   std::min(width, head_size - first)});
  });
}

}  // namespace

void convolve(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows, float* x,
              const ConvolutionWeights& weights, std::uint64_t columns, float* states) {
  check_taps(weights, "cpu convolve");
  const Storage storage = storage_of(weights.dtype, "convolve");
  const std::vector<float> bias = dense_floats(weights.bias, columns);
  const std::vector<Run> runs = runs_of(rows);
  const std::uint64_t state_elements = (weights.count - 1) * columns;
  const std::uint64_t blocks = (columns + convolution_columns - 1) / convolution_columns;
  const std::uint64_t elements = rows.size() * columns;
  const std::uint64_t all = runs.size() * blocks;
  const auto convolve_block = [&](std::uint64_t index) {
    const Run& run = runs[index / blocks];
    const std::uint64_t first = index % blocks * convolution_columns;
    ConvolutionBlock block{.x = x + run.first * columns + first,
                           .stride = columns,
                           .taps = {},
                           .count = weights.count,
                           .bias = bias.empty() ? nullptr : bias.data() + first,
                           .state = states + run.sequence * state_elements + first,
                           .rows = run.count,
                           .columns = std::min(convolution_columns, columns - first),
                           .fresh = run.fresh};
    for (std::uint32_t tap = 0; tap < weights.count; ++tap) {
      block.taps[tap] =
          weights.taps.row(tap, columns * bytes_of(storage)) + first * bytes_of(storage);
    }
    kernels.convolve[index_of(storage)](block);
  };
  for_pieces(pool, all, rows_per_piece(elements / std::max<std::uint64_t>(all, 1)),
             [&](std::uint64_t begin, std::uint64_t end) {
               for (std::uint64_t index = begin; index < end; ++index) convolve_block(index);
             });
}

void delta_rule(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
                const DeltaRows& of, const DeltaShape& shape, float* states) {
  check_delta(shape, "cpu delta_rule");
  const std::uint64_t keys = std::uint64_t{shape.key_heads} * shape.key_size;
  const std::uint64_t values = std::uint64_t{shape.value_heads} * shape.value_size;
  const std::vector<float> a_log = dense_floats(shape.a_log, shape.value_heads);
  const std::vector<float> dt_bias = dense_floats(shape.dt_bias, shape.value_heads);
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.key_size));
  for_pieces(pool, rows.size(), rows_per_piece(keys), [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t row = begin; row < end; ++row) {
      for (std::uint64_t head = 0; head < shape.key_heads; ++head) {
        const std::uint64_t at = row * keys + head * shape.key_size;
        kernels.normalize(of.q + at, scale, shape.key_size);
        kernels.normalize(of.k + at, 1.0f, shape.key_size);
      }
      const std::uint64_t heads = row * shape.value_heads;
      kernels.delta_gates(a_log.data(), dt_bias.data(), of.decay + heads, of.beta + heads,
                          shape.value_heads);
    }
  });
  const std::uint64_t group = shape.value_heads / shape.key_heads;
  const auto multiply = [&](const HeadPiece& piece) {
    const auto& [run, head, first, count] = piece;
    const std::uint64_t key = run.first * keys + head / group * shape.key_size;
    const std::uint64_t value = run.first * values + head * shape.value_size + first;
    const std::uint64_t state = (run.sequence * shape.value_heads + head) * shape.key_size;
    kernels.delta({.q = of.q + key,
                   .k = of.k + key,
                   .v = of.v + value,
                   .out = of.out + value,
                   .decay = of.decay + run.first * shape.value_heads + head,
                   .beta = of.beta + run.first * shape.value_heads + head,
                   .key_stride = keys,
                   .value_stride = values,
                   .head_stride = shape.value_heads,
                   .state = states + state * shape.value_size + first,
                   .state_stride = shape.value_size,
                   .rows = run.count,
                   .key_size = shape.key_size,
                   .values = count,
                   .fresh = run.fresh});
  };
  for_heads(pool, rows, shape.value_heads, shape.value_size, kernels.delta_values, multiply);
}

void state_space(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
                 const StateSpaceRows& of, const StateSpaceShape& shape, float* states) {
  check_state_space(shape, "cpu state_space");
  const std::uint64_t inner = std::uint64_t{shape.heads} * shape.head_size;
  const std::uint64_t of_groups = std::uint64_t{shape.groups} * shape.state_size;
  const std::vector<float> a_log = dense_floats(shape.a_log, shape.heads);
  const std::vector<float> dt_bias = dense_floats(shape.dt_bias, shape.heads);
  const std::vector<float> d = dense_floats(shape.d, shape.heads);
  for_pieces(pool, rows.size(), rows_per_piece(shape.heads),
             [&](std::uint64_t begin, std::uint64_t end) {
               for (std::uint64_t row = begin; row < end; ++row) {
                 const std::uint64_t heads = row * shape.heads;
                 kernels.state_space_gates(a_log.data(), dt_bias.data(), of.step + heads,
                                           of.decay + heads, shape.heads);
               }
             });
  const std::uint64_t heads_of_group = shape.heads / shape.groups;
  const auto scan = [&](const HeadPiece& piece) {
    const auto& [run, head, first, count] = piece;
    const std::uint64_t group = run.first * of_groups + head / heads_of_group * shape.state_size;
    const std::uint64_t value = run.first * inner + head * shape.head_size + first;
    const std::uint64_t state = (run.sequence * shape.heads + head) * shape.state_size;
    kernels.state_space({.x = of.x + value,
                         .out = of.out + value,
                         .b = of.b + group,
                         .c = of.c + group,
                         .step = of.step + run.first * shape.heads + head,
                         .decay = of.decay + run.first * shape.heads + head,
                         .skip = d[head],
                         .value_stride = inner,
                         .group_stride = of_groups,
                         .head_stride = shape.heads,
                         .state = states + state * shape.head_size + first,
                         .state_stride = shape.head_size,
                         .rows = run.count,
                         .state_size = shape.state_size,
                         .values = count,
                         .fresh = run.fresh});
  };
  for_heads(pool, rows, shape.heads, shape.head_size, kernels.delta_values, scan);
}

}  // namespace initrt::cpu
