// Rows of quantized weights by hand, and what hostile files may hold in place of them.
#include "runtime/convert/dequantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class T>
std::vector<std::byte> bytes_of_values(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
std::vector<std::byte> bytes_of_text(const std::string& text) {
  return bytes_of_values(std::vector<char>(text.begin(), text.end()));
}

/// A weight and the bytes of its components, which all rows need.
struct Stored {
  QuantizedWeight weight;
  std::vector<std::vector<std::byte>> bytes;

  void add(QuantRole role, DType dtype, std::uint64_t rows, std::uint64_t columns, QuantAxis axis,
           std::uint64_t per, std::uint64_t of, std::vector<std::byte> content) {
    weight.components.push_back({role, static_cast<std::uint32_t>(bytes.size()), dtype, rows,
                                 columns, axis, per, of,
                                 "x.tensor" + std::to_string(bytes.size())});
    bytes.push_back(std::move(content));
  }

  std::vector<float> rows() const {
    std::vector<std::span<const std::byte>> boxes(bytes.begin(), bytes.end());
    std::vector<float> out(weight.rows * weight.columns);
    dequantize_rows(weight, 0, weight.rows, boxes, out.data());
    return out;
  }
  std::string error() const {
    return error_of([&] { (void)rows(); });
  }
};

QuantizedWeight shape(QuantMethod method, std::uint64_t rows, std::uint64_t columns) {
  QuantizedWeight weight;
  weight.method = method;
  weight.rows = rows;
  weight.columns = columns;
  weight.block_columns = columns;
  return weight;
}

/// Two rows of three columns in bytes, a scale for each row.
Stored int8_rows(const std::vector<float>& scales) {
  Stored stored{shape(QuantMethod::Bytes, 2, 3), {}};
  stored.add(QuantRole::Codes, DType::I8, 2, 3, QuantAxis::Rows, 1, 1,
             bytes_of_values<std::int8_t>({1, -2, 127, -128, 0, 3}));
  stored.add(QuantRole::Scales, DType::F32, 2, 1, QuantAxis::Rows, 1, 1, bytes_of_values(scales));
  return stored;
}

/// One row of 8 columns, GPTQ's: codes 0 to 7 and two groups.
Stored gptq(std::uint32_t stored_zero, const std::vector<std::int32_t>& order) {
  Stored stored{shape(QuantMethod::Gptq, 1, 8), {}};
  stored.weight.bits = 4;
  stored.weight.block_columns = 4;
  stored.weight.zero_offset = 1;
  stored.add(QuantRole::Codes, DType::I32, 1, 1, QuantAxis::Columns, 1, 1,
             bytes_of_values<std::uint32_t>({0x76543210}));
  stored.add(QuantRole::Scales, DType::F16, 2, 1, QuantAxis::Columns, 1, 1,
             bytes_of_values<std::uint16_t>({0x3c00, 0x4000}));  // 1, 2
  stored.add(QuantRole::Zeros, DType::I32, 2, 1, QuantAxis::Columns, 1, 8,
             bytes_of_values<std::uint32_t>({stored_zero, stored_zero}));
  if (!order.empty()) {
    stored.add(QuantRole::GroupIndex, DType::I32, 1, 8, QuantAxis::None, 1, 1,
               bytes_of_values(order));
  }
  return stored;
}

/// Two rows of 32 columns, bitsandbytes' nf4, with nested scales; all codes 1.
Stored four_bit(const std::string& state) {
  Stored stored{shape(QuantMethod::FourBitTable, 2, 32), {}};
  stored.weight.block_columns = 32;
  stored.weight.nested_block = 256;
  stored.add(QuantRole::Codes, DType::U8, 32, 1, QuantAxis::Flat, 32, 2,
             std::vector<std::byte>(32, std::byte{0x11}));
  stored.add(QuantRole::Scales, DType::U8, 1, 2, QuantAxis::Flat, 32, 32,
             bytes_of_values<std::uint8_t>({1, 2}));
  std::vector<float> table(16, 0.0f), nested(256, 0.0f);
  table[1] = 0.5f;
  nested[1] = 0.25f;
  nested[2] = 0.75f;
  stored.add(QuantRole::Table, DType::F32, 1, 16, QuantAxis::None, 1, 1, bytes_of_values(table));
  stored.add(QuantRole::State, DType::U8, 1, state.size(), QuantAxis::None, 1, 1,
             bytes_of_text(state));
  stored.add(QuantRole::NestedScales, DType::F32, 1, 1, QuantAxis::Flat, 32, 32 * 256,
             bytes_of_values<float>({2.0f}));
  stored.add(QuantRole::NestedTable, DType::F32, 1, 256, QuantAxis::None, 1, 1,
             bytes_of_values(nested));
  return stored;
}

constexpr const char* kState =
    R"({"quant_type": "nf4", "blocksize": 32, "shape": [2, 32], "nested_blocksize": 256,
        "nested_offset": 0.125})";

std::string state_with(const std::string& what, const std::string& instead) {
  std::string state = kState;
  state.replace(state.find(what), what.size(), instead);
  return four_bit(state).error();
}

/// One row of 32 columns of E2M1, all 1.5.
Stored mxfp4(std::uint8_t exponent) {
  Stored stored{shape(QuantMethod::Fp4, 1, 32), {}};
  stored.add(QuantRole::Codes, DType::U8, 1, 16, QuantAxis::Rows, 1, 1,
             std::vector<std::byte>(16, std::byte{0x33}));
  stored.add(QuantRole::Scales, DType::U8, 1, 1, QuantAxis::Rows, 1, 1,
             bytes_of_values<std::uint8_t>({exponent}));
  return stored;
}

TEST(Dequantize, ACodeLessItsZeroIsMultipliedWithItsRowsScale) {
  Stored stored = int8_rows({0.5f, -2.0f});
  EXPECT_THAT(stored.rows(), ElementsAre(0.5f, -1.0f, 63.5f, 256.0f, -0.0f, -6.0f));
  stored.add(QuantRole::Zeros, DType::I8, 2, 1, QuantAxis::Rows, 1, 1,
             bytes_of_values<std::int8_t>({1, -128}));
  EXPECT_THAT(stored.rows(), ElementsAre(0.0f, -1.5f, 63.0f, -0.0f, -256.0f, -262.0f));
}

TEST(Dequantize, GptqsZerosThatAreOneTooManyWhereTheyAreHalfOfTheCodesAreAnError) {
  Stored stored = gptq(8, {});
  EXPECT_THAT(stored.rows(), ElementsAre(-9, -8, -7, -6, -10, -8, -6, -4));
  stored.weight.symmetric = true;
  EXPECT_THAT(stored.error(), HasSubstr("all zeros are stored as 8, which stands for 9"));
  Stored others = gptq(7, {});
  others.weight.symmetric = true;
  EXPECT_THAT(others.rows(), ElementsAre(-8, -7, -6, -5, -8, -6, -4, -2));
  others.bytes[2] = bytes_of_values<std::uint32_t>({8, 3});
  EXPECT_THAT(others.rows(), ElementsAre(-9, -8, -7, -6, 0, 2, 4, 6));
}

TEST(Dequantize, GptqsFirstFormatHasZerosLessOneThatWrapAround) {
  EXPECT_THAT(gptq(7, {}).rows(), ElementsAre(-8, -7, -6, -5, -8, -6, -4, -2));
  EXPECT_THAT(gptq(15, {}).rows(), ElementsAre(0, 1, 2, 3, 8, 10, 12, 14));
}

TEST(Dequantize, GroupsMayBeInTheOrderOfActivations) {
  EXPECT_THAT(gptq(15, {1, 0, 1, 0, 1, 0, 1, 0}).rows(), ElementsAre(0, 1, 4, 3, 8, 5, 12, 7));
}

TEST(Dequantize, AnOrderThatTheConfigDeniesIsAnError) {
  Stored stored = gptq(15, {0, 0, 0, 0, 1, 1, 1, 1});
  stored.weight.components[3].column_axis = QuantAxis::Columns;
  EXPECT_THAT(stored.rows(), ElementsAre(0, 1, 2, 3, 8, 10, 12, 14));
  stored.bytes[3] = bytes_of_values<std::int32_t>({0, 0, 0, 0, 1, 0, 1, 1});
  EXPECT_EQ(
      stored.error(),
      "tensor \"x.tensor3\": its element 5 is 0, where the config says that groups are not in "
      "the order of activations (desc_act): expected 1");
}

TEST(Dequantize, SomeColumnsAreMadeOfThoseCodesAndGroupsThatAreTheirs) {
  Stored stored = gptq(15, {});
  stored.weight.bits = 8;
  stored.weight.components = {
      {QuantRole::Codes, 0, DType::I32, 2, 1, QuantAxis::Columns, 1, 1, "c", QuantAxis::Rows, 4},
      {QuantRole::Scales, 1, DType::F16, 2, 1, QuantAxis::Columns, 1, 1, "s", QuantAxis::Rows, 6},
      {QuantRole::Zeros, 2, DType::I32, 2, 1, QuantAxis::Columns, 1, 4, "z", QuantAxis::Rows, 6}};
  stored.weight.block_columns = 6;
  const auto last = bytes_of_values<std::uint32_t>({0x07060504});
  const auto scales = bytes_of_values<std::uint16_t>({0x3c00, 0x4000});  // 1, 2
  const auto zeros = bytes_of_values<std::uint32_t>({0, 2});
  const std::vector<std::span<const std::byte>> boxes = {last, scales, zeros};
  std::array<float, 4> row{};
  Dequantizer(stored.weight, {0, 1, 4, 4}, boxes).make(0, 1, row.data());
  EXPECT_THAT(row, ElementsAre(3, 4, 6, 8));
  for (const WeightPart& part : {WeightPart{0, 1, 2, 4}, WeightPart{0, 1, 0, 6},
                                 WeightPart{0, 1, 4, 8}, WeightPart{0, 1, 12, 0}}) {
    EXPECT_THAT(error_of([&] { (void)source_boxes(stored.weight, part); }),
                HasSubstr("a weight of 8 columns, made 4 at a time, has no "));
  }
  EXPECT_THAT(error_of([&] {
                (void)source_boxes(int8_rows({1, 1}).weight, {0, 1, 0, 2});
              }),
              HasSubstr("made 3 at a time"));
}

TEST(Dequantize, ScalesOfFourBitWeightsMayBeCodesThemselves) {
  const std::vector<float> rows = four_bit(kState).rows();
  EXPECT_EQ(rows[0], 0.5f * (0.25f * 2.0f + 0.125f));
  EXPECT_EQ(rows[63], 0.5f * (0.75f * 2.0f + 0.125f));
}

TEST(Dequantize, ExponentsReachFromSubnormalsToTheLargestPowerOfTwo) {
  EXPECT_EQ(mxfp4(127).rows()[31], 1.5f);
  EXPECT_EQ(mxfp4(0).rows()[0], std::ldexp(1.5f, -127));
  EXPECT_EQ(mxfp4(1).rows()[0], std::ldexp(1.5f, -126));
  EXPECT_EQ(mxfp4(254).rows()[0], std::ldexp(1.5f, 127));
}

TEST(Dequantize, ScalesThatAreNotFiniteNameTheirTensor) {
  for (const float scale : {kNan, kInfinity, -kInfinity}) {
    EXPECT_EQ(int8_rows({1.0f, scale}).error(),
              "tensor \"x.tensor1\": one of its values is NaN or infinite");
  }
  EXPECT_THAT(mxfp4(255).error(), HasSubstr("x.tensor1"));
  Stored half = gptq(7, {});
  half.bytes[1] = bytes_of_values<std::uint16_t>({0x3c00, 0x7c00});
  EXPECT_THAT(half.error(), HasSubstr("x.tensor1"));
  Stored nested = four_bit(kState);
  nested.bytes[4] = bytes_of_values<float>({kNan});
  EXPECT_THAT(nested.error(), HasSubstr("x.tensor4"));
  Stored table = four_bit(kState);
  table.bytes[2].assign(64, std::byte{0xff});
  EXPECT_THAT(table.error(), HasSubstr("x.tensor2"));
}

TEST(Dequantize, ASecondScaleOfZeroOrNanIsAnErrorWhereItDivides) {
  for (const float second : {0.0f, kNan}) {
    Stored stored = mxfp4(127);
    stored.weight.second_divides = true;
    stored.add(QuantRole::SecondScale, DType::F32, 1, 1, QuantAxis::None, 1, 1,
               bytes_of_values<float>({second}));
    EXPECT_THAT(stored.error(), HasSubstr("x.tensor2"));
  }
}

TEST(Dequantize, AGroupThatThereIsNotIsAnError) {
  EXPECT_EQ(gptq(7, {0, 0, 0, 2, 0, 0, 0, 0}).error(),
            "tensor \"x.tensor3\": its element 3 is 2, but there are 2 groups");
  EXPECT_THAT(gptq(7, {0, 0, 0, 0, 0, 0, 0, -1}).error(), HasSubstr("its element 7 is -1"));
}

TEST(Dequantize, AShapeThatIsAnothersIsAnError) {
  Stored stored = int8_rows({1.0f, 1.0f});
  stored.add(QuantRole::Shape, DType::I64, 1, 2, QuantAxis::None, 1, 1,
             bytes_of_values<std::int64_t>({3, 2}));
  EXPECT_EQ(stored.error(),
            "tensor \"x.tensor2\": it says [3, 2], but the model config asks for [2, 3]");
}

TEST(Dequantize, RowsOfInt8WeightsThatAreNotRowsAreAnError) {
  Stored stored{shape(QuantMethod::LlmInt8, 1, 2), {}};
  stored.add(QuantRole::Codes, DType::I8, 1, 2, QuantAxis::Rows, 1, 1,
             bytes_of_values<std::int8_t>({127, -127}));
  stored.add(QuantRole::Scales, DType::F32, 1, 1, QuantAxis::Columns, 1, 1,
             bytes_of_values<float>({1.0f}));
  EXPECT_THAT(stored.rows(),
              ElementsAre(127 * 7.874015718698502e-3f, -127 * 7.874015718698502e-3f));
  stored.add(QuantRole::RowFormat, DType::U8, 1, 1, QuantAxis::None, 1, 1,
             bytes_of_values<std::uint8_t>({2}));
  EXPECT_THAT(stored.error(), HasSubstr("it is 2, a layout for one kind of GPU"));
}

TEST(Dequantize, AStateThatIsAnothersIsAnError) {
  EXPECT_THAT(state_with("\"blocksize\": 32", "\"blocksize\": 64"), HasSubstr("its blocksize"));
  EXPECT_THAT(state_with("\"blocksize\": 32", "\"blocksize\": 0"), HasSubstr("its blocksize"));
  EXPECT_THAT(state_with("[2, 32]", "[32, 2]"), HasSubstr("its shape is not [2, 32]"));
  EXPECT_THAT(state_with("0.125", "\"0.125\""), HasSubstr("nested_offset, a number"));
  EXPECT_THAT(state_with("0.125", "NaN"), HasSubstr("its nested_offset is not finite"));
  EXPECT_THAT(state_with("0.125", "1e99"), HasSubstr("its nested_offset is not finite"));
  EXPECT_THAT(state_with("{\"quant", "[\"quant"), HasSubstr("tensor \"x.tensor3\""));
  EXPECT_THAT(four_bit("7").error(), HasSubstr("its blocksize"));
  EXPECT_THAT(four_bit(std::string(100, '[')).error(), HasSubstr("tensor \"x.tensor3\""));
}

TEST(Dequantize, BoxesOfAnotherSizeAreNeverReadPast) {
  for (std::size_t box = 0; box < 6; ++box) {
    for (const bool longer : {false, true}) {
      Stored stored = four_bit(kState);
      longer ? stored.bytes[box].push_back({}) : stored.bytes[box].pop_back();
      EXPECT_THAT(stored.error(), HasSubstr("tensor \"x.tensor" + std::to_string(box) + "\": "));
    }
  }
  Stored lacking = four_bit(kState);
  lacking.bytes.pop_back();
  EXPECT_THAT(lacking.error(), HasSubstr("of 6 tensors was given 5"));
}

TEST(Dequantize, RowsThatThereAreNotAreAnError) {
  const Stored stored = int8_rows({1.0f, 1.0f});
  EXPECT_THAT(error_of([&] { dequantize_rows(stored.weight, 1, 2, {}, nullptr); }),
              HasSubstr("a weight of 2 rows has no 2 rows from row 1"));
  const std::vector<std::span<const std::byte>> boxes(stored.bytes.begin(), stored.bytes.end());
  const Dequantizer all(stored.weight, 0, 2, boxes);
  std::array<float, 3> row{};
  all.make(1, 1, row.data());
  EXPECT_THAT(row, ElementsAre(-128, 0, 3));
  for (const auto& [first, rows] : {std::pair{2u, 1u}, std::pair{1u, 2u}, std::pair{3u, 0u}}) {
    EXPECT_THAT(error_of([&] { all.make(first, rows, row.data()); }),
                HasSubstr("rows 0 to 2 of a weight were read, not "));
  }
}

}  // namespace
}  // namespace initrt
