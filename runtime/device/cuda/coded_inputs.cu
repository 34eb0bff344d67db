// Inputs of products with codes, in the forms that those kernels read.
#include <algorithm>

#include "runtime/device/cuda/coded.h"
#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {
namespace {

/// 16 bytes of a row: "column" i is lane i % 32's, of part i / 32 % parts of segment i / 32 /
/// parts.
template <DType Type>
struct LaneOrder {
  using Stored = typename Element<Type>::Stored;
  static constexpr std::uint32_t kNumbers = 16 / sizeof(Stored);
  static constexpr std::uint32_t kParts = kSegmentElements / kWarp / kNumbers;
  const float* in;
  std::byte* out;
  std::uint64_t columns, row_bytes;

  template <int>
  __device__ void at(std::uint64_t row, std::uint64_t i) const {
    const auto piece = static_cast<std::uint32_t>(i);
    const std::uint32_t lane = piece % kWarp, part = piece / kWarp % kParts;
    const std::uint64_t first = std::uint64_t{piece / kWarp / kParts} * kSegmentElements +
                                lane * (kSegmentElements / kWarp) + part * kNumbers;
    Several<float, kNumbers> values;
#pragma unroll
    for (std::uint32_t k = 0; k < kNumbers; ++k) {
      values.of[k] = first + k < columns ? in[row * columns + first + k] : 0.0f;
    }
    store<Type>(reinterpret_cast<Stored*>(out + row * row_bytes + i * 16), values);
  }
};

/// An input that is no outlier, 0 for one that is. @param threshold NaN for none
struct KeptInput {
  float value;
  bool outlier;

  __device__ KeptInput(float x, DType dtype, float threshold) {
    if (dtype == DType::BF16) x = Element<DType::BF16>::widen(Element<DType::BF16>::narrow(x));
    if (dtype == DType::F16) x = Element<DType::F16>::widen(Element<DType::F16>::narrow(x));
    outlier = fabsf(x) >= threshold;
    value = outlier ? 0.0f : x;
  }
};

/// The largest magnitude of what a block's row keeps, or NaN where one is, or an infinity.
__device__ float largest_kept(const float* in, std::uint32_t columns, DType dtype,
                              float threshold) {
  __shared__ std::uint32_t of_warps[kThreads / kWarp];
  std::uint32_t largest = 0;  // magnitudes are ordered as their bits are, NaN last
  for (std::uint32_t k = threadIdx.x; k < columns; k += kThreads) {
    const float value = KeptInput(in[k], dtype, threshold).value;
    largest = max(largest, std::bit_cast<std::uint32_t>(value) & 0x7fffffffu);
  }
#pragma unroll
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    largest = max(largest, __shfl_xor_sync(kAllLanes, largest, lanes));
  }
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = largest;
  __syncthreads();
  for (const std::uint32_t of_warp : of_warps) largest = max(largest, of_warp);
  return std::bit_cast<float>(largest >= 0x7f800000u ? 0x7fc00000u : largest);
}

/// Each step as in cpu/kernels_int8.h. A block for each row.
__global__ void __launch_bounds__(kThreads)
    make_bytes(const float* all, DType dtype, float threshold, std::uint32_t rows,
               std::uint32_t columns, std::uint32_t padded, std::byte* out) {
  const std::uint64_t row_bytes = sizeof(ByteInputs) + padded / 8 * 9;
  for (std::uint32_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* const in = all + std::uint64_t{row} * columns;
    auto* const header = reinterpret_cast<ByteInputs*>(out + row * row_bytes);
    auto* const codes = reinterpret_cast<std::uint8_t*>(header + 1);
    auto* const bits = reinterpret_cast<std::uint32_t*>(codes + padded);
    const float largest = largest_kept(in, columns, dtype, threshold);
    // Of magnitudes too small to divide by, codes are 0; and of NaN.
    float factor = 127.0f / largest;
    if (!(factor < std::bit_cast<float>(0x7f800000u))) factor = 0.0f;
    int any = 0;
    for (std::uint32_t k = threadIdx.x; k < padded; k += kThreads) {  // whole warps
      const KeptInput kept(k < columns ? in[k] : 0.0f, dtype, threshold);
      const float scaled = factor > 0.0f ? kept.value * factor : 0.0f;
      // Added to 1.5 * 2^23, whose last place is 1, a number is rounded to the nearest, ties to
      // even: its last byte is the code's.
      codes[k] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(scaled + 0x1.8p23f));
      const unsigned outliers = __ballot_sync(kAllLanes, kept.outlier);
      if (k % kWarp == 0) bits[k / kWarp] = outliers;
      any |= static_cast<int>(outliers != 0);
    }
    any = __syncthreads_or(any);
    if (threadIdx.x == 0) *header = {largest, static_cast<std::uint32_t>(any), {}};
  }
}

}  // namespace

void put_in_lane_order(cudaStream_t stream, const float* in, DType dtype, std::uint64_t rows,
                       std::uint64_t columns, std::byte* out) {
  with_dtype(dtype, [&]<DType Type>() {
    const std::uint64_t bytes = lane_order_bytes(sizeof(typename Element<Type>::Stored), columns);
    launch_each_of_rows<1>(stream, LaneOrder<Type>{in, out, columns, bytes}, rows, bytes / 16,
                           false);
  });
}

void make_byte_inputs(cudaStream_t stream, const float* in, DType dtype, float threshold,
                      std::uint64_t rows, std::uint64_t columns, std::byte* out) {
  if (rows == 0) return;
  if (!(threshold > 0.0f)) threshold = std::bit_cast<float>(0x7fc00000u);
  launch<make_bytes>(static_cast<unsigned>(std::min(kRowsAtMost, rows)), kThreads, 0, stream, in,
                     dtype, threshold, static_cast<std::uint32_t>(rows),
                     static_cast<std::uint32_t>(columns),
                     static_cast<std::uint32_t>(lane_order_bytes(1, columns)), out);
}

}  // namespace initrt::cuda
