// Codes, scales and values against those of bitsandbytes, bit by bit.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "runtime/convert/quantize.h"
#include "runtime/convert/quantize_kernels.h"
#include "runtime/storage/local_files.h"
#include "sharding/checkpoint/catalog.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

class References {
 public:
  [[nodiscard]] const Catalog& catalog() const { return catalog_; }
  [[nodiscard]] std::vector<std::byte> read(const std::string& name) {
    const std::int64_t found = catalog_.find(name);
    if (found < 0) return {};
    const TensorEntry& tensor = catalog_.tensors.at(static_cast<std::size_t>(found));
    return files_.read(path_, tensor.parts[0].offset, tensor.bytes());
  }

 private:
  LocalFiles files_;
  std::string path_ = testing::source_path("tests/golden/bitsandbytes/rows.safetensors");
  Catalog catalog_ = open_checkpoint(files_, path_);
};

struct Matrix {
  std::string name;
  DType dtype;
  std::uint64_t rows, columns;
};

std::vector<Matrix> matrices(const Catalog& catalog) {
  std::vector<Matrix> found;
  for (const TensorEntry& tensor : catalog.tensors) {
    if (!tensor.name.ends_with(".in")) continue;
    found.push_back({tensor.name.substr(0, tensor.name.size() - 3), tensor.dtype, tensor.shape[0],
                     tensor.shape[1]});
  }
  return found;
}

void expect_equal(const std::vector<std::byte>& got, const std::vector<std::byte>& wanted,
                  const std::string& what) {
  ASSERT_FALSE(wanted.empty()) << what;
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i], wanted[i]) << what << ", byte " << i;
}

struct Quantized {
  std::vector<std::byte> codes, scales;
};

Quantized quantized_by(QuantizeSet set, WeightFormat format, const Matrix& matrix,
                       const std::vector<std::byte>& in) {
  const std::uint64_t code_bytes = row_bytes(format, matrix.dtype, matrix.columns);
  const std::uint64_t scale_bytes = scale_row_bytes(format, matrix.columns);
  Quantized got{.codes = std::vector<std::byte>(matrix.rows * code_bytes),
                .scales = std::vector<std::byte>(matrix.rows * scale_bytes)};
  const QuantizeRow kernel = quantize_kernel(format, matrix.dtype, set);
  for (std::uint64_t row = 0; row < matrix.rows; ++row) {
    EXPECT_TRUE(kernel(in.data() + row * bytes_of(matrix.dtype, matrix.columns), matrix.columns,
                       got.codes.data() + row * code_bytes, got.scales.data() + row * scale_bytes));
  }
  return got;
}

class QuantizeGolden : public ::testing::TestWithParam<WeightFormat> {};

TEST_P(QuantizeGolden, CodesAndScalesAreThoseOfBitsandbytes) {
  const WeightFormat format = GetParam();
  References references;
  const std::vector<Matrix> all = matrices(references.catalog());
  ASSERT_EQ(all.size(), 19u);
  for (const Matrix& matrix : all) {
    const std::vector<std::byte> in = references.read(matrix.name + ".in");
    const std::string name = matrix.name + "." + std::string(initrt::name(format));
    for (const QuantizeSet set : kQuantizeSets) {
      if (!supported(set)) continue;
      const std::string what = name + " by set " + std::to_string(static_cast<int>(set));
      const Quantized got = quantized_by(set, format, matrix, in);
      expect_equal(got.codes, references.read(name + ".codes"), what + ", codes");
      expect_equal(got.scales, references.read(name + ".scales"), what + ", scales");
    }
  }
}

TEST_P(QuantizeGolden, ValuesAreThoseOfBitsandbytes) {
  const WeightFormat format = GetParam();
  References references;
  std::size_t compared = 0;
  for (const Matrix& matrix : matrices(references.catalog())) {
    const std::string name = matrix.name + "." + std::string(initrt::name(format));
    const std::vector<std::byte> values = references.read(name + ".values");
    if (values.empty()) continue;
    ++compared;
    std::vector<std::byte> got(matrix.rows * matrix.columns * sizeof(float));
    dequantize_rows(format, references.read(name + ".codes").data(),
                    references.read(name + ".scales").data(), matrix.rows, matrix.columns,
                    reinterpret_cast<float*>(got.data()));
    expect_equal(got, values, name);
  }
  EXPECT_EQ(compared, 4u);
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizeGolden,
                         ::testing::Values(WeightFormat::Int8, WeightFormat::Nf4,
                                           WeightFormat::Fp4),
                         [](const auto& format) { return std::string(name(format.param)); });

}  // namespace
}  // namespace initrt
