// Ops that read a sequence row by row and keep a state of it, split over threads.
#pragma once

#include <span>

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/thread_pool.h"
#include "runtime/device/ops.h"

namespace initrt::cpu {

/// As Device::convolve() for `rows`.
void convolve(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows, float* x,
              const ConvolutionWeights& weights, std::uint64_t columns, float* states);

/// As Device::delta_rule() for `rows`.
void delta_rule(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
                const DeltaRows& of, const DeltaShape& shape, float* states);

/// As Device::state_space() for `rows`.
void state_space(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
                 const StateSpaceRows& of, const StateSpaceShape& shape, float* states);

}  // namespace initrt::cpu
