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

/// What a trial of batches has found.
enum class BatchTrial : std::uint8_t {
  Same,
  Differs,
  NoMemory,  ///< nothing was tried: this GPU has no room for it
};

/// How many blocks at once are tried, at least 2: of more at once nothing is known.
[[nodiscard]] std::uint64_t blocks_to_try(const BatchShape& shape);

/// Multiplies random numbers with `multiply(operands, blocks)`, which puts a product of that many
/// blocks on `stream`, and compares each block's bits: for every number of blocks from 2 to
/// blocks_to_try(). Takes device memory, which it gives back, and waits for the stream. The weights
/// are its own: where plans are made, before anything is loaded, real ones are all alike.
[[nodiscard]] BatchTrial try_batches(
    cudaStream_t stream, const BatchShape& shape,
    const std::function<void(const BatchOperands&, std::uint64_t blocks)>& multiply);

}  // namespace initrt::cuda
