// Whether a product of several blocks at once has the bits of one block by itself. cuBLASLt
// promises the same bits for the same call, but not for another number of matrices in a batch, and
// what it tells of an algorithm (stages, clusters, custom options) does not say it either.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>

#include "sharding/dtype.h"

namespace initrt::cuda {

/// Of one product; sizes in elements.
struct BatchShape {
  DType dtype;                      ///< of weights and inputs; outputs are float32
  std::uint64_t weights;            ///< of the matrix
  std::uint64_t in_step, out_step;  ///< of a block
  std::uint64_t most_blocks;        ///< of any product to come, at least 2
};

/// Device memory.
struct BatchOperands {
  const std::byte* weight;
  const std::byte* in;
  float* out;
};

/// Multiplies random numbers with `multiply(operands, blocks)`, which puts a product of that many
/// blocks on `stream`, and compares each block's bits. Takes device memory, which it gives back,
/// and waits for the stream. @returns false also where that memory cannot be had
[[nodiscard]] bool same_bits_in_batches(
    cudaStream_t stream, const BatchShape& shape,
    const std::function<void(const BatchOperands&, std::uint64_t blocks)>& multiply);

}  // namespace initrt::cuda
