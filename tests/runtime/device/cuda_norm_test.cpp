// Norms against sums in double, and bit for bit against themselves in other company.
#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

/// On both sides of where another number of threads takes a row, or keeps it in registers.
constexpr std::size_t kColumns[] = {1, 7, 64, 128, 130, 576, 1024, 1025, 4096, 4101, 33000};

class CudaNorm : public CudaKernels {
 protected:
  /// @param misaligned bytes, of rows in and out
  static std::vector<float> run(NormKind kind, const std::vector<float>& in,
                                const std::vector<std::byte>& weight,
                                const std::vector<std::byte>& bias, DType dtype, float offset,
                                std::size_t columns, std::size_t misaligned = 0) {
    const Guarded rows(in, misaligned);
    const Guarded out{std::vector<float>(in.size()), misaligned};
    const Guarded weight_there(weight);
    const Guarded bias_there(bias);
    cuda::norm(nullptr, kind, rows.get(),
               {weight_there.get(), bias.empty() ? nullptr : bias_there.get(), dtype, offset},
               1e-5f, out.get(), in.size() / columns, columns);
    return out.read();
  }
};

TEST_F(CudaNorm, AgreesWithSumsInDouble) {
  for (const std::size_t columns : kColumns) {
    for (const DType dtype : dtypes) {
      for (const NormKind kind : {NormKind::Rms, NormKind::Layer}) {
        const std::size_t rows = 3;
        const auto in = random(rows * columns, 2.0f);
        auto weight = random(columns), bias = random(columns);
        const auto weight_bytes = stored(weight, dtype);
        const bool biased = kind == NormKind::Layer;
        const auto bias_bytes = biased ? stored(bias, dtype) : std::vector<std::byte>{};
        const auto out = run(kind, in, weight_bytes, bias_bytes, dtype, 1.0f, columns);
        for (std::size_t r = 0; r < rows; ++r) {
          double mean = 0, variance = 0;
          for (std::size_t c = 0; c < columns; ++c) mean += in[r * columns + c];
          mean = biased ? mean / static_cast<double>(columns) : 0;
          for (std::size_t c = 0; c < columns; ++c) {
            variance += (in[r * columns + c] - mean) * (in[r * columns + c] - mean);
          }
          const double factor = 1 / std::sqrt(variance / static_cast<double>(columns) + 1e-5);
          for (std::size_t c = 0; c < columns; ++c) {
            const double expected =
                (in[r * columns + c] - mean) * factor * (weight[c] + 1.0) + (biased ? bias[c] : 0);
            ASSERT_NEAR(out[r * columns + c], expected, 4e-6 * (1 + std::abs(expected)))
                << columns << " columns, " << name(dtype);
          }
        }
      }
    }
  }
}

TEST_F(CudaNorm, ARowHasTheSameBitsAloneAndAnywhere) {
  for (const std::size_t columns : kColumns) {
    const std::size_t rows = 11;
    const auto in = random(rows * columns);
    auto weight = random(columns);
    const auto bytes = stored(weight, DType::BF16);
    for (const NormKind kind : {NormKind::Rms, NormKind::Layer}) {
      const auto all = run(kind, in, bytes, {}, DType::BF16, 0.0f, columns);
      for (const std::size_t row : {0, 1, 10}) {
        const auto alone = part(in, row * columns, columns);
        const auto expected = part(all, row * columns, columns);
        EXPECT_TRUE(same_bits(run(kind, alone, bytes, {}, DType::BF16, 0.0f, columns), expected));
        EXPECT_TRUE(same_bits(run(kind, alone, bytes, {}, DType::BF16, 0.0f, columns, 4), expected))
            << columns << " columns, misaligned";
      }
    }
  }
}

TEST_F(CudaNorm, InAndOutMayBeTheSame) {
  for (const std::size_t columns : kColumns) {
    const auto in = random(2 * columns);
    auto weight = random(columns);
    const auto bytes = stored(weight, DType::F16);
    const auto expected = run(NormKind::Layer, in, bytes, {}, DType::F16, 0.0f, columns);
    const Guarded rows(in);
    const Guarded weight_there(bytes);
    cuda::norm(nullptr, NormKind::Layer, rows.get(), {weight_there.get(), nullptr, DType::F16},
               1e-5f, rows.get(), 2, columns);
    EXPECT_TRUE(same_bits(rows.read(), expected)) << columns;
  }
}

}  // namespace
}  // namespace initrt::test
