// Runs the blocks of a kernel, one after the other, on the thread that calls.
#pragma once

#include <cstddef>
#include <functional>

#include "cuda_emulator/vector_types.h"
#include "random.h"

namespace cuda_emulator {

struct KernelShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
};

/// Blocks run in a random order, and so do the threads of a block between the points where they
/// wait for each other. A program whose threads wait for ones that never come is aborted, with a
/// line that says which threads wait where.
void run_kernel(const KernelShape& shape, const std::function<void()>& thread, Random& random);

}  // namespace cuda_emulator
