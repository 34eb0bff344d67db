// Products of LLM.int8() (arXiv:2208.07339): sums of products of codes are exact, and each step
// around them is one rounded float operation, so that the bits are those of the CPU device
// (cpu/kernels_int8.h), whatever the order of the sums.
#include "runtime/device/cuda/coded_linear.cuh"
#include "runtime/device/cuda/staged.cuh"

namespace initrt::cuda {
namespace {

constexpr int kParts = kSegmentElements / kWarp / 16;  // of 16 codes of each lane

__device__ __forceinline__ float rounded(float x, DType dtype) {
  if (dtype == DType::BF16) return Element<DType::BF16>::widen(Element<DType::BF16>::narrow(x));
  if (dtype == DType::F16) return Element<DType::F16>::widen(Element<DType::F16>::narrow(x));
  return x;
}

/// Outliers of a row times dequantized weights, in the order of columns.
__device__ float outlier_sum(const CodedArguments& product, const std::uint32_t* bits,
                             const float* in, const std::byte* weights, float scale) {
  float sum = 0.0f;
  for (std::uint32_t word = 0; word * kWarp < product.in_columns; ++word) {
    for (std::uint32_t left = bits[word]; left != 0; left &= left - 1) {
      const std::uint32_t k = word * kWarp + static_cast<std::uint32_t>(__ffs(left) - 1);
      const auto code = static_cast<float>(static_cast<std::int8_t>(weights[k]));
      sum += rounded(in[k], product.dtype) * rounded(code * scale / 127.0f, product.dtype);
    }
  }
  return sum;
}

/// What exact sums become.
struct FromExact {
  const CodedArguments& product;

  __device__ float operator()(std::uint32_t output, std::uint32_t row, std::int32_t exact) const {
    const std::byte* const in = product.in + row * product.in_row_bytes;
    const ByteInputs header = *reinterpret_cast<const ByteInputs*>(in);
    const float scale =
        *reinterpret_cast<const float*>(row_of(product.scales, product, output, sizeof(float)));
    float result = static_cast<float>(exact) * (header.scale * scale / (127.0f * 127.0f));
    if (header.outliers != 0) {
      const auto* const bits = reinterpret_cast<const std::uint32_t*>(
          in + sizeof header + std::uint64_t{product.segments} * kSegmentElements);
      result += outlier_sum(product, bits, product.floats + std::uint64_t{row} * product.in_columns,
                            row_of(product.weight, product, output, product.row_bytes), scale);
    }
    return result;
  }
};

template <int kRows>
__global__ void __launch_bounds__(kCodedThreads) linear_bytes(CodedArguments product) {
  using Codes = Segment<kSegmentElements>;
  __shared__ __align__(16) std::byte staged[kCodedWarps][kCodedOutputs][Codes::kRoom];
  const CodedWork work = CodedWork::of_warp<kRows>(product);
  const std::uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::byte* rows[kCodedOutputs];
#pragma unroll
  for (int o = 0; o < kCodedOutputs; ++o) {
    rows[o] = row_of(product.weight, product, work.output_at(o, product), product.row_bytes);
  }
  const std::byte* in[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) in[r] = work.input_at(r, product) + sizeof(ByteInputs);

  std::int32_t sums[kCodedOutputs * kRows] = {};
  for (std::uint32_t index = work.part; index < product.segments; index += product.share) {
    const std::uint32_t begin = index * kSegmentElements;
    const std::uint32_t bytes = min(kSegmentElements, product.row_bytes - begin);
    Codes codes[kCodedOutputs];
#pragma unroll
    for (int o = 0; o < kCodedOutputs; ++o) codes[o].read(rows[o] + begin, bytes);
    __syncwarp();  // whoever still reads the last segment
    Staged segments[kCodedOutputs];
#pragma unroll
    for (int o = 0; o < kCodedOutputs; ++o) segments[o] = codes[o].write(staged[warp][o]);
    __syncwarp();
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const std::uint32_t place = (part * kWarp + lane) * 16;
      if (begin + place >= product.in_columns) break;
      Words<4> weights[kCodedOutputs];
#pragma unroll
      for (int o = 0; o < kCodedOutputs; ++o) weights[o] = sixteen_at(segments[o].at(place));
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int4 x = *reinterpret_cast<const int4*>(in[r] + begin + place);
#pragma unroll
        for (int o = 0; o < kCodedOutputs; ++o) {
          std::int32_t& sum = sums[o * kRows + r];
          sum = __dp4a(static_cast<std::int32_t>(weights[o].of[0]), x.x, sum);
          sum = __dp4a(static_cast<std::int32_t>(weights[o].of[1]), x.y, sum);
          sum = __dp4a(static_cast<std::int32_t>(weights[o].of[2]), x.z, sum);
          sum = __dp4a(static_cast<std::int32_t>(weights[o].of[3]), x.w, sum);
        }
      }
    }
  }
  __syncwarp();
  end_sums<kRows>(product, work, sums, FromExact{product});
}

}  // namespace

void linear_int8(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows) {
  const CodedArguments product =
      coded_arguments(weights, rows, byte_inputs_bytes(weights.in_columns));
  with_row_tile(product, [&]<int kRows>(dim3 grid) {
    launch<linear_bytes<kRows>>(grid, kCodedThreads, 0, stream, product);
  });
}

}  // namespace initrt::cuda
