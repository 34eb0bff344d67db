// Matrix products of a GPU: near the sums in double, and the same bits for a row whatever rows come
// with it, for any number of blocks of rows at once.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/kernels.h"
#include "tests/runtime/device/cpu_support.h"
#include "tests/runtime/device/gpu_device.h"

namespace initrt::test {
namespace {

struct Shape {
  std::uint64_t in_columns, out_columns, out_stride;
};

class GpuLinear : public testing::TestWithParam<DType> {
 protected:
  static constexpr std::uint64_t kRows = 200, kMaxColumns = 256;

  /// The products of `rows` rows of `in`, without what lies between rows.
  std::vector<float> products(std::span<const float> in, std::uint64_t rows, const Shape& shape) {
    device_->write(std::as_bytes(in.first(rows * shape.in_columns)), in_.data());
    device_->linear(
        in_.floats(),
        {weights_.data(), bias_.data(), GetParam(), shape.in_columns, shape.out_columns},
        out_.floats(), rows, shape.out_stride);
    device_->read(out_.data(), results_.span().first(rows * shape.out_stride * sizeof(float)));
    device_->synchronize();
    std::vector<float> dense;
    for (std::uint64_t r = 0; r < rows; ++r) {
      const float* row = results_.floats() + r * shape.out_stride;
      dense.insert(dense.end(), row, row + shape.out_columns);
    }
    return dense;
  }

  /// As many values of the dtype, the same whenever asked for.
  std::vector<float> values(std::size_t count, std::uint32_t seed) const {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> made(count);
    for (float& value : made) value = normal(generator);
    return made;
  }

  void expect_products(const Shape& shape) {
    auto weights = values(shape.in_columns * shape.out_columns, 1);
    auto bias = values(shape.out_columns, 2);
    device_->write(stored(weights, GetParam()), weights_.data());
    device_->write(stored(bias, GetParam()), bias_.data());
    const auto in = values(kRows * shape.in_columns, 3);
    const std::vector<float> all = products(in, kRows, shape);
    for (std::uint64_t r = 0; r < kRows; r += 7) {
      for (std::uint64_t o = 0; o < shape.out_columns; ++o) {
        double sum = 0, magnitude = 0;
        for (std::uint64_t k = 0; k < shape.in_columns; ++k) {
          const double term = rounded(double{in[r * shape.in_columns + k]}, GetParam()) *
                              double{weights[o * shape.in_columns + k]};
          sum += term;
          magnitude += std::abs(term);
        }
        ASSERT_NEAR(all[r * shape.out_columns + o], sum + double{bias[o]}, 1e-5 * magnitude + 1e-6)
            << "row " << r << ", column " << o;
      }
    }
    // From 1 to 4 blocks, and each row at other places of them.
    for (const std::uint64_t begin : {0u, 1u, 63u, 64u, 130u, 199u}) {
      for (const std::uint64_t rows : {1u, 2u, 64u, 65u, 129u, 200u}) {
        if (begin + rows > kRows) continue;
        const auto some = products(std::span(in).subspan(begin * shape.in_columns), rows, shape);
        const std::vector<float> expected(
            all.begin() + static_cast<std::ptrdiff_t>(begin * shape.out_columns),
            all.begin() + static_cast<std::ptrdiff_t>((begin + rows) * shape.out_columns));
        EXPECT_TRUE(same_bits(some, expected)) << rows << " rows from " << begin;
      }
    }
  }

 private:
  static constexpr std::uint64_t kBytes = 256 * kMaxColumns * sizeof(float);

  GpuDevice device_{GetParam(), kRows, kMaxColumns};
  const Buffer results_ = device_.make_pinned(kBytes);
  Buffer in_ = device_.make(kBytes), out_ = device_.make(kBytes), weights_ = device_.make(kBytes);
  Buffer bias_ = device_.make(kMaxColumns * sizeof(float));
};

TEST_P(GpuLinear, HasTheSameBitsForARowInAnyCompany) { expect_products({96, 80, 80}); }

TEST_P(GpuLinear, TakesShapesThatAreMultiplesOfNothing) { expect_products({37, 13, 17}); }

/// Of a model of 8B; the emulator, which is slow, gets some as odd in small.
std::vector<std::pair<std::uint64_t, std::uint64_t>> shapes_of_models() {
#if __has_include("cuda_emulator/control.h")
  return {{320, 96}, {96, 448}, {1000, 64}};
#else
  return {{4096, 4096}, {4096, 14336}, {14336, 4096}, {1024, 4096}, {128256, 4096}};
#endif
}

// Algorithms are chosen by shape: those of small matrices say nothing of those of large ones.
TEST(GpuLinearOfModels, HasTheSameBitsForARowInAnyCompany) {
  constexpr std::uint64_t kRows = 200, kPadded = 256;
  for (const DType dtype : {DType::BF16, DType::F32}) {
    for (const auto& [out_columns, in_columns] : shapes_of_models()) {
      std::vector<std::string> notes;
      cuda::DeviceOptions options;
      options.note = [&](const std::string& note) { notes.push_back(note); };
      GpuDevice device(dtype, kRows, in_columns, options);
      const cudaStream_t stream = dynamic_cast<cuda::CudaDevice&>(*device.operator->()).stream();
      const Buffer weights = device.make(bytes_of(dtype, out_columns * in_columns));
      const Buffer in = device.make(kPadded * in_columns * sizeof(float));
      const Buffer all = device.make(kPadded * out_columns * sizeof(float));
      const Buffer some = device.make(kPadded * out_columns * sizeof(float));
      const Buffer flag = device.make(4), found = device.make_pinned(4);
      cuda::fill_random(stream, dtype, weights.data(), out_columns * in_columns, 1);
      cuda::fill_random(stream, DType::F32, in.data(), kPadded * in_columns, 2);
      const LinearWeights matrix{weights.data(), nullptr, dtype, in_columns, out_columns};
      device->linear(in.floats(), matrix, all.floats(), kRows, out_columns);
      for (const std::uint64_t rows : {1u, 8u, 64u, 65u, 130u}) {
        for (const std::uint64_t begin : {0u, 4u, 64u}) {
          device->linear(in.floats() + begin * in_columns, matrix, some.floats(), rows,
                         out_columns);
          cuda::note_difference(
              stream, some.data(), all.data() + begin * out_columns * sizeof(float),
              rows * out_columns * sizeof(float), reinterpret_cast<std::uint32_t*>(flag.data()));
          device->read(flag.data(), found.span());
          device->synchronize();
          ASSERT_EQ(found.floats()[0], 0.0f)
              << name(dtype) << " [" << out_columns << ", " << in_columns << "], " << rows
              << " rows from " << begin;
        }
      }
      for (const std::string& note : notes) std::puts(note.c_str());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, GpuLinear, testing::ValuesIn(dtypes),
                         [](const auto& dtype) { return std::string(name(dtype.param)); });

}  // namespace
}  // namespace initrt::test
