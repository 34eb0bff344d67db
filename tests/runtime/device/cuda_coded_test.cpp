// The order of sums of products with decoded weights: on a GPU as on the emulator, and as coded.h
// says it.
#include "runtime/device/cuda/coded.h"
#include "tests/runtime/device/coded_weights.h"
#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

class CudaCoded : public CudaKernels {
 protected:
  /// One sum, in that order.
  static float reference(const std::vector<float>& weights, const float* in, DType dtype) {
    constexpr std::size_t kLanes = 32, kEach = cuda::kSegmentElements / kLanes;
    const std::size_t columns = weights.size();
    const std::size_t segments = (columns + cuda::kSegmentElements - 1) / cuda::kSegmentElements;
    const std::size_t warps = segments < 2 ? 1 : segments < 3 ? 2 : 4;
    float sum = 0;
    for (std::size_t warp = 0; warp < warps; ++warp) {
      std::array<float, kLanes> lanes{};
      for (std::size_t segment = warp; segment < segments; segment += warps) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
          const std::size_t begin = segment * cuda::kSegmentElements + lane * kEach;
          for (std::size_t k = begin; k < std::min(columns, begin + kEach); ++k) {
            lanes[lane] = std::fma(static_cast<float>(rounded(weights[k], dtype)),
                                   static_cast<float>(rounded(in[k], dtype)), lanes[lane]);
          }
        }
      }
      for (std::size_t apart = kLanes / 2; apart > 0; apart /= 2) {
        for (std::size_t lane = 0; lane < apart; ++lane) lanes[lane] += lanes[lane + apart];
      }
      sum = warp == 0 ? lanes[0] : sum + lanes[0];
    }
    return sum;
  }
};

TEST_F(CudaCoded, SumsHaveTheOrderThatIsSaid) {
  const std::size_t rows = 6, outputs = 18;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t block = block_columns(format);
    for (const std::size_t k : {block == 1 ? 100 : block, std::size_t{1536}, 6 * 1024 + block}) {
      const CodedMatrix matrix = random_codes(*this, format, k, outputs);
      const auto in = random(rows * k);
      const Guarded<std::byte> codes(matrix.codes), scales(matrix.scales);
      const Guarded<float> in_there(in);
      for (const DType dtype : {DType::F32, DType::BF16, DType::F16}) {
        const std::uint64_t row_bytes = cuda::lane_order_bytes(bytes_of(dtype, 1), k);
        const Guarded<std::byte> ordered(std::vector<std::byte>(rows * row_bytes));
        const Guarded<float> out(std::vector<float>(rows * outputs));
        cuda::put_in_lane_order(nullptr, in_there.get(), dtype, rows, k, ordered.get());
        LinearWeights weights;
        weights.weight = codes.get();
        if (!matrix.scales.empty()) weights.scales = scales.get();
        weights.dtype = dtype;
        weights.format = format;
        weights.in_columns = k;
        weights.out_columns = outputs;
        const cuda::CodedRows product{ordered.get(), in_there.get(), rows, out.get(), outputs};
        if (matrix.scales.empty()) {
          cuda::linear_blocks(nullptr, weights, product);
        } else {
          cuda::linear_four_bit(nullptr, weights, product);
        }
        const auto got = out.read();
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_EQ(got[i],
                    reference(decoded_row(matrix, i % outputs), in.data() + i / outputs * k, dtype))
              << name(format) << " " << name(dtype) << ", " << k << " columns, " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace initrt::test
