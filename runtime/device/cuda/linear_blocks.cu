// Products with GGUF's blocks, and rows of tables that are held in them.
#include "runtime/device/cuda/decoded_linear.cuh"

namespace initrt::cuda {
namespace {

/// Calls f.template operator()<Format>(). @throws Error for other formats
template <class F>
void with_blocks(WeightFormat format, F f) {
  switch (format) {
    case WeightFormat::Q4_0:
      return f.template operator()<Block32<DType::Q4_0>>();
    case WeightFormat::Q4_1:
      return f.template operator()<Block32<DType::Q4_1>>();
    case WeightFormat::Q8_0:
      return f.template operator()<Block32<DType::Q8_0>>();
    case WeightFormat::Q4_K:
      return f.template operator()<BlockK<false>>();
    case WeightFormat::Q5_K:
      return f.template operator()<BlockK<true>>();
    case WeightFormat::Q6_K:
      return f.template operator()<BlockQ6K>();
    default:
      check(cudaErrorInvalidValue, "choosing a kernel by format, expected one of GGUF's blocks");
  }
}

template <DType Type, int kEight>
__device__ __forceinline__ void store_rounded(Eight values, float* to) {
  round_to<Type>(values);
#pragma unroll
  for (int i = 0; i < 8; ++i) to[kEight * 8 + i] = values.of[i];
}

/// A segment for each warp, whatever rows it is of: rows are whole blocks.
template <class Format, DType Type>
__global__ void __launch_bounds__(kWarp)
    decode_segments(const std::byte* in, float* out, std::uint64_t elements, std::uint64_t bytes) {
  using Codes = Segment<Format::kBytes>;
  __shared__ __align__(16) std::byte staged[Codes::kRoom];
  const std::uint64_t begin = std::uint64_t{blockIdx.x} * Format::kBytes;
  Codes codes;
  codes.read(in + begin,
             static_cast<std::uint32_t>(min(std::uint64_t{Format::kBytes}, bytes - begin)));
  const Staged segment = codes.write(staged);
  __syncwarp();
  const std::uint64_t first = std::uint64_t{blockIdx.x} * kSegmentElements + threadIdx.x * 32;
  if (first >= elements) return;
  const Format group = Format::group(segment, 0, {});
  store_rounded<Type, 0>(group.template eight<0>(), out + first);
  store_rounded<Type, 1>(group.template eight<1>(), out + first);
  store_rounded<Type, 2>(group.template eight<2>(), out + first);
  store_rounded<Type, 3>(group.template eight<3>(), out + first);
}

}  // namespace

void linear_blocks(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows) {
  with_blocks(weights.format,
              [&]<class Format>() { launch_decoded<Format>(stream, weights, rows); });
}

void decode_rows(cudaStream_t stream, const std::byte* in, WeightFormat format, DType dtype,
                 float* out, std::uint64_t elements) {
  if (elements == 0) return;
  const std::uint64_t bytes = row_bytes(format, dtype, elements);
  const auto segments = static_cast<unsigned>((elements + kSegmentElements - 1) / kSegmentElements);
  with_blocks(format, [&]<class Format>() {
    with_dtype(dtype, [&]<DType Type>() {
      launch<decode_segments<Format, Type>>(segments, kWarp, 0, stream, in, out, elements, bytes);
    });
  });
}

}  // namespace initrt::cuda
