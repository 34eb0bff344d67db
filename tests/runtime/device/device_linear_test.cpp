// Matrix products of every device: near the sums in double, and the same bits for a row whatever
// rows come with it and whatever blocks the weights lie in.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/devices.h"

namespace initrt::test {
namespace {

/// A product's matrix, as the device holds it.
struct Matrix {
  DType dtype = DType::F32;
  std::size_t in_columns = 0, out_columns = 0;
  std::vector<float> values, bias;  ///< rounded to the dtype
  Placed<std::byte> weight_there, bias_there;

  [[nodiscard]] LinearWeights weights(bool with_bias) const {
    LinearWeights weights;
    weights.weight = weight_there.get();
    if (with_bias) weights.bias = bias_there.get();
    weights.dtype = dtype;
    weights.in_columns = in_columns;
    weights.out_columns = out_columns;
    return weights;
  }
};

class DeviceLinear : public DeviceTest {
 protected:
  Matrix make(OnDevice& device, DType dtype, std::size_t in_columns, std::size_t out_columns) {
    Matrix matrix{
        dtype, in_columns, out_columns, random(in_columns * out_columns), random(out_columns),
        {},    {}};
    matrix.weight_there = device.put(stored(matrix.values, dtype));
    matrix.bias_there = device.put(stored(matrix.bias, dtype));
    return matrix;
  }

  /// [rows, out_columns] of rows `stride` apart, with what lies between.
  static std::vector<float> run(OnDevice& device, const LinearWeights& weights,
                                const std::vector<float>& in, std::size_t stride = 0) {
    if (stride == 0) stride = weights.out_columns;
    const std::size_t rows = in.size() / weights.in_columns;
    device.make_scratch(weights.dtype, rows, weights.in_columns);
    const auto in_there = device.put_rows(in, weights.in_columns);
    const auto out = device.put_rows(std::vector<float>(rows * stride, 7.0f), stride);
    device->linear(in_there.get(), weights, out.get(), rows, stride);
    return device.get(out);
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceLinear, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceLinear, AgreesWithSumsInDoubleAndAddsTheBiasLast) {
  auto device = this->device();
  for (const DType dtype : dtypes) {
    for (const std::size_t k : {1, 7, 17, 64, 100, 576}) {
      for (const std::size_t outputs : {std::size_t{1}, 1 + below(70), std::size_t{64}}) {
        const Matrix matrix = make(device, dtype, k, outputs);
        for (const std::size_t rows : {std::size_t{1}, 1 + below(9), 1 + below(40)}) {
          const auto in = random(rows * k);
          const auto sums = run(device, matrix.weights(false), in);
          const auto out = run(device, matrix.weights(true), in);
          for (std::size_t i = 0; i < sums.size(); ++i) {
            double sum = 0, magnitude = 0;
            for (std::size_t c = 0; c < k; ++c) {
              const double product =
                  rounded(in[i / outputs * k + c], dtype) * matrix.values[i % outputs * k + c];
              sum += product;
              magnitude += std::abs(product);
            }
            // k roundings of partial sums no larger than the sum of magnitudes.
            const double tolerance = static_cast<double>(k + 1) * 0x1p-24 * magnitude + 1e-30;
            ASSERT_NEAR(sums[i], sum, tolerance)
                << name(dtype) << ", " << k << " columns, row " << i / outputs << " of " << rows
                << ", output " << i % outputs << " of " << outputs;
            ASSERT_EQ(out[i], sums[i] + matrix.bias[i % outputs]) << name(dtype) << " " << i;
          }
        }
      }
    }
  }
}

TEST_P(DeviceLinear, ARowHasTheSameBitsInAnyCompany) {
  auto device = this->device();
  constexpr std::size_t kRows = 200;
  struct Shape {
    std::size_t in_columns, out_columns, stride;
  };
  for (const DType dtype : dtypes) {
    for (const auto& [k, outputs, stride] : {Shape{96, 80, 80}, Shape{37, 13, 17}}) {
      const Matrix matrix = make(device, dtype, k, outputs);
      const auto in = random(kRows * k);
      const auto all = run(device, matrix.weights(true), in, stride);
      for (const std::size_t begin : {0, 1, 63, 64, 130, 199}) {
        for (const std::size_t rows : {1, 2, 7, 64, 65, 129, 200}) {
          if (begin + rows > kRows) continue;
          const auto some =
              run(device, matrix.weights(true), part(in, begin * k, rows * k), stride);
          EXPECT_TRUE(same_bits(some, part(all, begin * stride, rows * stride)))
              << name(dtype) << ", " << rows << " rows from " << begin;
        }
      }
    }
  }
}

TEST_P(DeviceLinear, ARowHasTheSameBitsAmongManyOfMoreThanACache) {
  auto device = this->device(1);
  const std::size_t rows = 61, k = 9000, outputs = 6;  // more than 1 MiB of inputs
  for (const DType dtype : dtypes) {
    const Matrix matrix = make(device, dtype, k, outputs);
    const auto in = random(rows * k);
    const auto all = run(device, matrix.weights(false), in);
    for (const std::size_t r : {0, 29, 30, 60}) {
      EXPECT_TRUE(same_bits(run(device, matrix.weights(false), part(in, r * k, k)),
                            part(all, r * outputs, outputs)))
          << name(dtype) << " row " << r;
    }
  }
}

TEST_P(DeviceLinear, ThreadsDoNotChangeABit) {
  for (const auto& [dtype, rows] :
       {std::pair{DType::F32, 5}, std::pair{DType::F32, 40}, std::pair{DType::BF16, 5},
        std::pair{DType::BF16, 40}, std::pair{DType::F16, 5}, std::pair{DType::F16, 40}}) {
    const std::size_t k = 333, outputs = 301;
    const auto in = random(rows * k);
    std::vector<float> of_one;
    for (const unsigned threads : {1, 2, 3}) {
      auto device = this->device(threads);
      Random same;
      Matrix matrix{dtype, k, outputs, same.random(outputs * k), {}, {}, {}};
      matrix.weight_there = device.put(stored(matrix.values, dtype));
      const auto out = run(device, matrix.weights(false), in);
      if (of_one.empty()) of_one = out;
      EXPECT_TRUE(same_bits(out, of_one)) << name(dtype) << ", " << threads << " threads";
    }
  }
}

// A unit's parameter is cut among ranks, whose chunks lie apart.
TEST_P(DeviceLinear, WeightsInBlocksHaveTheBitsOfWeightsInOnePiece) {
  auto device = this->device();
  const std::size_t rows = 70, k = 40, outputs = 53;
  for (const DType dtype : dtypes) {
    const Matrix matrix = make(device, dtype, k, outputs);
    const auto in = random(rows * k);
    const auto expected = run(device, matrix.weights(true), in);
    auto values = matrix.values, bias = matrix.bias;
    const auto weight_bytes = stored(values, dtype), bias_bytes = stored(bias, dtype);
    for (const std::size_t block : {1, 7, 16, 52, 53}) {
      const BlocksOfRows weight(device, weight_bytes, bytes_of(dtype, k), block);
      const BlocksOfRows apart(device, bias_bytes, bytes_of(dtype, 1), block);
      LinearWeights weights = matrix.weights(false);
      weights.weight = weight.blocks;
      weights.bias = apart.blocks;
      EXPECT_TRUE(same_bits(run(device, weights, in), expected))
          << name(dtype) << ", blocks of " << block;
    }
  }
}

TEST_P(DeviceLinear, ProductsOfTheSameInputsHaveTheBitsOfEachByItself) {
  auto device = this->device();
  const std::size_t rows = 9, k = 64;
  for (const DType dtype : dtypes) {
    const auto in = random(rows * k);
    std::vector<Matrix> matrices;
    std::vector<std::vector<float>> expected;
    for (const std::size_t outputs : {64, 64, 20}) {
      matrices.push_back(make(device, dtype, k, outputs));
      expected.push_back(run(device, matrices.back().weights(true), in));
    }
    const auto in_there = device.put_rows(in, k);
    std::vector<Placed<float>> outs;
    std::vector<LinearProduct> products;
    for (const Matrix& matrix : matrices) {
      outs.push_back(device.put_rows(rows, matrix.out_columns));
      products.push_back({matrix.weights(true), outs.back().get(), matrix.out_columns});
    }
    device->linear_of_each(in_there.get(), products, rows);
    for (std::size_t i = 0; i < outs.size(); ++i) {
      EXPECT_TRUE(same_bits(device.get(outs[i]), expected[i])) << name(dtype) << " " << i;
    }
  }
}

// As latent attention has them: each head's part of the inputs goes with a matrix of its own.
TEST_P(DeviceLinear, SomeColumnsOfInputsHaveTheBitsOfTheseAlone) {
  auto device = this->device();
  constexpr std::size_t kRows = 70, kParts = 3, kColumns = 24, kOutputs = 20;
  constexpr std::size_t kAll = kParts * kColumns;
  for (const DType dtype : dtypes) {
    const auto in = random(kRows * kAll);
    std::vector<Matrix> matrices;
    std::vector<std::vector<float>> expected;
    for (std::size_t part = 0; part < kParts; ++part) {
      matrices.push_back(make(device, dtype, kColumns, kOutputs));
      std::vector<float> dense;
      for (std::size_t row = 0; row < kRows; ++row) {
        const auto first = in.begin() + static_cast<std::ptrdiff_t>(row * kAll + part * kColumns);
        dense.insert(dense.end(), first, first + kColumns);
      }
      expected.push_back(run(device, matrices.back().weights(false), dense));
    }
    device.make_scratch(dtype, kRows, kAll);
    const auto in_there = device.put_rows(in, kAll);
    const std::size_t stride = kParts * kOutputs;
    const auto out = device.put_rows(std::vector<float>(kRows * stride), stride);
    std::vector<LinearProduct> products;
    for (std::size_t part = 0; part < kParts; ++part) {
      products.push_back({matrices[part].weights(false), out.get() + part * kOutputs, stride,
                          part * kColumns, kAll});
    }
    device->linear_of_each(in_there.get(), products, kRows);
    const auto all = device.get(out);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t row = i / stride, part = i % stride / kOutputs, column = i % kOutputs;
      ASSERT_EQ(all[i], expected[part][row * kOutputs + column])
          << name(dtype) << ", row " << row << ", part " << part << ", column " << column;
    }
  }
}

TEST_P(DeviceLinear, StrideLeavesOtherColumnsAlone) {
  auto device = this->device();
  const std::size_t rows = 8, k = 20, outputs = 5, stride = 9;
  const auto in = random(rows * k);
  const Matrix matrix = make(device, DType::F32, k, outputs);
  const auto dense = run(device, matrix.weights(false), in);
  const auto out = run(device, matrix.weights(false), in, stride);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t column = i % stride;
    EXPECT_EQ(out[i], column < outputs ? dense[i / stride * outputs + column] : 7.0f) << i;
  }
}

TEST_P(DeviceLinear, NanAndInfinityStayInTheirRow) {
  auto device = this->device();
  const std::size_t rows = 7, k = 50, outputs = 6;
  for (const DType dtype : dtypes) {
    const Matrix matrix = make(device, dtype, k, outputs);
    auto in = random(rows * k);
    const auto clean = run(device, matrix.weights(false), in);
    in[2 * k + 49] = std::numeric_limits<float>::quiet_NaN();
    in[4 * k] = std::numeric_limits<float>::infinity();
    const auto out = run(device, matrix.weights(false), in);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t row = i / outputs;
      if (row == 2) {
        EXPECT_TRUE(std::isnan(out[i]));
      } else if (row == 4) {
        EXPECT_TRUE(std::isinf(out[i]));
      } else {
        EXPECT_EQ(out[i], clean[i]);
      }
    }
  }
}

TEST_P(DeviceLinear, NoRowsAndNoOutputsDoNothing) {
  auto device = this->device();
  for (const DType dtype : dtypes) {
    const Matrix matrix = make(device, dtype, 16, 4);
    device.make_scratch(dtype, 1, 16);
    const auto in = device.put_rows(1, 16), out = device.put(std::vector<float>(4, 7.0f));
    device->linear(in.get(), matrix.weights(true), out.get(), 0, 4);
    LinearWeights none = matrix.weights(true);
    none.out_columns = 0;
    device->linear(in.get(), none, out.get(), 1, 4);
    EXPECT_THAT(device.get(out), testing::Each(7.0f));
  }
}

TEST_P(DeviceLinear, RefusesDtypesAndStridesThatItCannotDo) {
  auto device = this->device();
  const Matrix matrix = make(device, DType::F32, 8, 2);
  const auto x = device.put_rows(1, 8);
  EXPECT_THAT([&] { device->linear(x.get(), matrix.weights(false), x.get(), 1, 1); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("cannot hold 2 columns")));
  LinearWeights quantized = matrix.weights(false);
  quantized.dtype = DType::Q4_1;
  EXPECT_THROW(device->linear(x.get(), quantized, x.get(), 1, 2), Error);
}

}  // namespace
}  // namespace initrt::test
