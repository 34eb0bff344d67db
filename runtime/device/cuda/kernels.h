// The kernels of the CUDA backend: what Device's ops are made of, apart from matrix products. Each
// function puts one kernel or a few on `stream` and returns; pointers are to device memory, shapes
// and meaning are those of device.h. Nothing here allocates or waits.
//
// An output element depends only on its own row's inputs, in one order of accumulation: no atomics,
// no sum that is split by the number of rows. Compiled with -fmad=false: a multiply-add is fused
// only where fmaf() is written.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/device/memory.h"
#include "runtime/device/ops.h"
#include "sharding/element_map.h"
#include "sharding/sampling.h"

namespace initrt::cuda {

void to_float(cudaStream_t stream, const std::byte* in, DType dtype, float* out,
              std::uint64_t elements);

/// out[i] = in[i] rounded to `dtype` (F16 or BF16): inputs of matrix products.
void round_to(cudaStream_t stream, const float* in, DType dtype, std::byte* out,
              std::uint64_t elements);

/// Numbers of the order of 1 that go by index and seed alone, rounded to `dtype`.
void fill_random(cudaStream_t stream, DType dtype, std::byte* out, std::uint64_t elements,
                 std::uint32_t seed);

/// *differ = 1 where any of the bytes differ, else as it was. @param bytes a multiple of 4
void note_difference(cudaStream_t stream, const std::byte* a, const std::byte* b,
                     std::uint64_t bytes, std::uint32_t* differ);

void norm(cudaStream_t stream, NormKind kind, const float* in, const NormWeights& weights,
          float epsilon, float* out, std::uint64_t rows, std::uint64_t columns);

/// into[r, c] += bias[c], rows `stride` elements apart.
void add_bias(cudaStream_t stream, const std::byte* bias, DType dtype, float* into,
              std::uint64_t rows, std::uint64_t columns, std::uint64_t stride);

void rotary(cudaStream_t stream, float* x, std::uint64_t rows, std::uint32_t heads,
            std::uint32_t head_size, std::uint32_t dimensions, const float* table);

/// @param rows `count` of them, in device memory
void store_kv(cudaStream_t stream, const float* k, const float* v, const RowInfo* rows,
              std::uint64_t count, const AttentionShape& shape, const KvView& cache);

/// Positions are read from `rows` by the kernel alone, so that a recorded launch serves any.
/// @param scratch in device memory, for long contexts of few rows: where it has room for their
/// sums,
///        more of the GPU is used; the results are the same bits
void attention(cudaStream_t stream, const float* q, const RowInfo* rows, std::uint64_t count,
               const AttentionShape& shape, const KvView& cache, float* out,
               std::span<std::byte> scratch);

void gate(cudaStream_t stream, const Gating& gating, const float* gate, const float* up, float* out,
          std::uint64_t elements);

void gate_rows(cudaStream_t stream, const float* gate, float* x, std::uint64_t rows,
               std::uint64_t columns);

/// @param rows `count` of them, in device memory: read by the kernel alone, as by attention()
void convolve(cudaStream_t stream, float* x, const RowInfo* rows, std::uint64_t count,
              const ConvolutionWeights& weights, std::uint64_t columns, float* states);
void delta_rule(cudaStream_t stream, const RowInfo* rows, std::uint64_t count, const DeltaRows& of,
                const DeltaShape& shape, float* states);
void state_space(cudaStream_t stream, const RowInfo* rows, std::uint64_t count,
                 const StateSpaceRows& of, const StateSpaceShape& shape, float* states);

void add(cudaStream_t stream, const float* x, float* into, std::uint64_t elements);

void scale(cudaStream_t stream, float* x, float factor, std::uint64_t elements);

/// @param factor in device memory
void scale_by(cudaStream_t stream, const float* factor, float* x, std::uint64_t elements);

void softcap(cudaStream_t stream, float* x, float cap, std::uint64_t rows, std::uint64_t columns,
             std::uint64_t stride);

void add_positions(cudaStream_t stream, const RowBlocks& table, DType dtype, const RowInfo* rows,
                   std::uint64_t count, float* into, std::uint64_t columns);

/// @param out [rows, chosen], in device memory
void route(cudaStream_t stream, const float* logits, std::uint64_t rows, const Routing& routing,
           const RouteVectors& vectors, ExpertChoice* out);

/// @param rows `count` of them, ascending, in device memory; `in` and `out` may be the same
/// @param weights as `rows`; may be null, as it must where `in` is `out`
void take_rows(cudaStream_t stream, const float* in, const std::uint32_t* rows,
               const float* weights, std::uint64_t count, std::uint64_t columns, float* out);

/// @param rows, weights `count` of them, in device memory; `weights` may be null
void add_rows(cudaStream_t stream, const float* x, const std::uint32_t* rows, const float* weights,
              std::uint64_t count, std::uint64_t columns, float* into);

/// @param vocabulary from 1 to 2^31 - 1
/// @param draws, out [rows], in device or pinned memory
void sample(cudaStream_t stream, const float* logits, std::uint64_t rows, std::uint64_t vocabulary,
            const SamplerOptions& options, const double* draws, Sampled* out);

/// @param pieces of any alignment and length. They are the kernels' own arguments, so that a
///        recording holds them.
void copy(cudaStream_t stream, std::span<const CopyPiece> pieces);

/// Elements of a file that are converted to elements of a unit; as Piece in sharding/read_plan.h,
/// with places in device memory.
struct ConvertPiece {
  const std::byte* from = nullptr;  ///< at a block boundary; of any alignment
  std::byte* to = nullptr;          ///< of the first element
  std::uint64_t elements = 0;
  std::uint64_t source_step = 1;       ///< elements; other than 1 for plain dtypes only
  std::uint64_t destination_step = 1;  ///< elements
  std::uint32_t skip = 0;              ///< elements of the first block before the piece
  ElementMap map = {};                 ///< of each element before it is narrowed
};

/// Whether convert() has a kernel for the pair; equal ones with steps of 1 are copies.
[[nodiscard]] bool can_convert(DType from, DType to);

/// The bits are those of initrt::convert(), to F32, F16 or BF16.
/// @param pieces `count` of them, in device memory
/// @param longest the most elements of any of them
void convert(cudaStream_t stream, DType from, DType to, const ConvertPiece* pieces,
             std::uint64_t count, std::uint64_t longest);

}  // namespace initrt::cuda
