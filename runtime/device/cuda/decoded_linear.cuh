// A product with weights that are decoded to numbers, for any format and dtype.
#pragma once

#include "runtime/device/cuda/coded_formats.cuh"
#include "runtime/device/cuda/coded_linear.cuh"

namespace initrt::cuda {

/// Elements [8 * kEight, 8 * kEight + 8) of a lane's 32 of a segment of inputs, in lane order.
template <DType Type, int kEight>
__device__ __forceinline__ Eight load_eight(const std::byte* segment) {
  constexpr int kStored = Type == DType::F32 ? 4 : 2;
  const std::byte* const from = segment + kEight * (8 * kStored) * kWarp + threadIdx.x % kWarp * 16;
  Eight values;
  if constexpr (Type == DType::F32) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 four = *reinterpret_cast<const float4*>(from + half * 16 * kWarp);
      values.of[half * 4] = four.x;
      values.of[half * 4 + 1] = four.y;
      values.of[half * 4 + 2] = four.z;
      values.of[half * 4 + 3] = four.w;
    }
  } else {
    const auto stored = *reinterpret_cast<const Several<std::uint16_t, 8>*>(from);
#pragma unroll
    for (int i = 0; i < 8; ++i) values.of[i] = widen_quickly<Type>(stored.of[i]);
  }
  return values;
}

template <int kEight, DType Type, class Format, int kRows>
__device__ __forceinline__ void add_eight(const Format (&weights)[kCodedOutputs],
                                          const std::byte* const (&in)[kRows],
                                          float (&sums)[kCodedOutputs * kRows]) {
  Eight numbers[kCodedOutputs];
#pragma unroll
  for (int o = 0; o < kCodedOutputs; ++o) {
    numbers[o] = weights[o].template eight<kEight>();
    round_to<Type>(numbers[o]);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const Eight x = load_eight<Type, kEight>(in[r]);
#pragma unroll
    for (int o = 0; o < kCodedOutputs; ++o) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float& sum = sums[o * kRows + r];
        sum = fmaf(numbers[o].of[i], x.of[i], sum);
      }
    }
  }
}

template <class Format, DType Type, int kRows>
__global__ void __launch_bounds__(kCodedThreads) linear_decoded(CodedArguments product) {
  using Codes = Segment<Format::kBytes>;
  constexpr std::uint32_t kScaled = kFourBitBlock;
  __shared__ __align__(16) std::byte staged[kCodedWarps][kCodedOutputs][Codes::kRoom];
  __shared__ float table[16];
  if constexpr (Format::kHasTable) {
    if (threadIdx.x < 16) table[threadIdx.x] = product.table[threadIdx.x];
    __syncthreads();
  }
  const CodedWork work = CodedWork::of_warp<kRows>(product);
  const std::uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::byte* rows[kCodedOutputs];
  RowScales scales[kCodedOutputs];
#pragma unroll
  for (int o = 0; o < kCodedOutputs; ++o) {
    const std::uint32_t output = work.output_at(o, product);
    rows[o] = row_of(product.weight, product, output, product.row_bytes);
    const std::byte* of_row = nullptr;
    if constexpr (Format::kHasTable) {
      of_row = row_of(product.scales, product, output, product.scale_row_bytes);
    }
    scales[o] = {of_row, (product.in_columns + kScaled - 1) / kScaled, table};
  }
  const std::byte* in[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) in[r] = work.input_at(r, product);

  constexpr std::uint32_t kInBytes = kSegmentElements * (Type == DType::F32 ? 4 : 2);
  float sums[kCodedOutputs * kRows] = {};
  for (std::uint32_t index = work.part; index < product.segments; index += product.share) {
    const std::uint32_t begin = index * Format::kBytes;
    const std::uint32_t bytes = min(std::uint32_t{Format::kBytes}, product.row_bytes - begin);
    Codes codes[kCodedOutputs];
#pragma unroll
    for (int o = 0; o < kCodedOutputs; ++o) codes[o].read(rows[o] + begin, bytes);
    __syncwarp();  // whoever still reads the last segment
    Staged segments[kCodedOutputs];
#pragma unroll
    for (int o = 0; o < kCodedOutputs; ++o) segments[o] = codes[o].write(staged[warp][o]);
    __syncwarp();
    const std::byte* from[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) from[r] = in[r] + std::uint64_t{index} * kInBytes;
    if (index * kSegmentElements + lane * 32 >= product.in_columns) continue;
    Format weights[kCodedOutputs];
#pragma unroll
    for (int o = 0; o < kCodedOutputs; ++o) {
      weights[o] = Format::group(segments[o], index, scales[o]);
    }
    add_eight<0, Type>(weights, from, sums);
    add_eight<1, Type>(weights, from, sums);
    add_eight<2, Type>(weights, from, sums);
    add_eight<3, Type>(weights, from, sums);
  }
  __syncwarp();
  end_sums<kRows>(product, work, sums, [](std::uint32_t, std::uint32_t, float sum) { return sum; });
}

/// @param table of formats that have one
template <class Format>
void launch_decoded(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows,
                    const float* table = nullptr) {
  with_dtype(weights.dtype, [&]<DType Type>() {
    CodedArguments product = coded_arguments(
        weights, rows, lane_order_bytes(Type == DType::F32 ? 4 : 2, weights.in_columns));
    if (table != nullptr) std::copy_n(table, 16, product.table);
    with_row_tile(product, [&]<int kRows>(dim3 grid) {
      launch<linear_decoded<Format, Type, kRows>>(grid, kCodedThreads, 0, stream, product);
    });
  });
}

}  // namespace initrt::cuda
