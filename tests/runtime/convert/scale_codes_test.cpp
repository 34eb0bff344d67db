// Sums that do not round, means that round once, and rows of codes that may be made apart.
#include "runtime/convert/scale_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace initrt {
namespace {

std::vector<float> random_scales(std::size_t count, int exponents) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> mantissa(1.0f, 2.0f);
  std::uniform_int_distribution<int> exponent(-exponents, exponents);
  std::vector<float> scales(count);
  for (float& scale : scales) scale = std::ldexp(mantissa(random), exponent(random));
  return scales;
}

float mean(const std::vector<float>& scales) { return mean_of(exact_sum(scales), scales.size()); }

TEST(ScaleCodes, SumsAreTheSameHoweverTheyArePutTogether) {
  const std::vector<float> scales = random_scales(999, 120);
  const SumWords whole = exact_sum(scales);
  for (const std::size_t parts : {2, 3, 7, 999}) {
    SumWords sum{};
    for (std::size_t part = parts; part-- > 0;) {
      const std::size_t begin = part * 999 / parts, end = (part + 1) * 999 / parts;
      add_to(sum, exact_sum(std::span(scales).subspan(begin, end - begin)));
    }
    EXPECT_EQ(sum, whole) << parts;
  }
}

TEST(ScaleCodes, MeansAreRoundedOnceToNearestEven) {
  const float max = std::numeric_limits<float>::max();
  const float least = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(mean({}), 0.0f);
  EXPECT_EQ(mean({0.0f, 0.0f}), 0.0f);
  EXPECT_EQ(mean({3.0f}), 3.0f);
  EXPECT_EQ(mean({max, max, max}), max);
  EXPECT_EQ(mean({least, least}), least);
  EXPECT_EQ(mean({least, 0.0f}), 0.0f) << "half of the least is rounded to even";
  EXPECT_EQ(mean({3 * least, 0.0f}), 2 * least);
  EXPECT_EQ(mean({least, least, 0.0f}), least) << "two thirds";
  EXPECT_EQ(mean({1.0f, 0x1.000002p0f}), 1.0f) << "a half, to even";
  EXPECT_EQ(mean({0x1.000002p0f, 0x1.000004p0f}), 0x1.000004p0f);
  EXPECT_EQ(mean({1.0f, 0x1.000002p0f, 0x1.000002p0f}), 0x1.000002p0f);
  std::vector<float> above(4096, 1.0f);
  for (std::size_t i = 0; i < 2048; ++i) above[i] = 0x1.000002p0f;
  EXPECT_EQ(mean(above), 1.0f);
  // A half and a little.
  above[0] = std::nextafter(above[0], 2.0f);
  EXPECT_EQ(mean(above), 0x1.000002p0f);
  // Near 2 from below, up to the next power.
  EXPECT_EQ(mean({2.0f, 2.0f, 2.0f, 0x1.fffffep0f}), 2.0f);
}

TEST(ScaleCodes, MeansAreThoseOfExactArithmetic) {
  // Sums of these fit a double's 53 bits, and so does their mean's rounding.
  for (const std::size_t count : {1u, 2u, 4u, 64u, 1024u}) {
    const std::vector<float> scales = random_scales(count, 5);
    double sum = 0;
    for (const float scale : scales) sum += static_cast<double>(scale);
    EXPECT_EQ(mean(scales), static_cast<float>(sum / static_cast<double>(count))) << count;
  }
}

TEST(ScaleCodes, ARowsCodesDoNotDependOnWhatTheyAreMadeWith) {
  for (const std::uint64_t row_scales : {1ull, 9ull, 64ull, 100ull, 256ull, 300ull}) {
    const std::uint64_t rows = 20, columns = row_scales * kFourBitBlock - 3;
    const std::vector<float> scales = random_scales(rows * row_scales, 2);
    const std::uint64_t row_bytes = coded_scale_row(columns).bytes();
    std::vector<std::byte> whole(rows * row_bytes), parts(whole.size());
    code_all_scales(scales, columns, whole.data());
    const float offset = mean(scales);
    const std::vector<float> magnitudes = block_magnitudes(scales, 0, offset);
    for (std::uint64_t first = 0; first < rows; first += 7) {
      const std::uint64_t count = std::min<std::uint64_t>(7, rows - first);
      code_scales(std::span(scales).subspan(first * row_scales, count * row_scales), first, columns,
                  offset,
                  std::span<const float>(magnitudes).subspan(first * row_scales / kScaleBlock),
                  parts.data() + first * row_bytes);
    }
    EXPECT_EQ(parts, whole) << row_scales;
    // A code's number is within half of the widest gap, of 0.014 of the magnitude.
    std::vector<float> values(row_scales);
    for (std::uint64_t row = 0; row < rows; ++row) {
      decode_scales(whole.data() + row * row_bytes, columns, values.data());
      for (std::uint64_t i = 0; i < row_scales; ++i) {
        const std::uint64_t flat = row * row_scales + i;
        EXPECT_NEAR(values[i], scales[flat], magnitudes[flat / kScaleBlock] * 0.0075f);
      }
    }
  }
}

// Of rows of one scale to three the codes are longer.
TEST(ScaleCodes, MayBeMadeOverTheScales) {
  for (const std::uint64_t row_scales : {1ull, 3ull, 4ull, 9ull, 100ull, 300ull}) {
    const std::uint64_t rows = 20, columns = row_scales * kFourBitBlock;
    const std::vector<float> scales = random_scales(rows * row_scales, 2);
    const std::uint64_t bytes = rows * coded_scale_row(columns).bytes();
    std::vector<std::byte> apart(bytes);
    code_all_scales(scales, columns, apart.data());
    const std::uint64_t all = std::max((bytes + 3) / 4, scales.size());
    std::vector<float> memory(all);
    const std::span<float> last = std::span(memory).last(scales.size());
    std::ranges::copy(scales, last.begin());
    const float offset = mean(scales);
    const std::vector<float> magnitudes = block_magnitudes(last, 0, offset);
    const std::span<std::byte> out = std::as_writable_bytes(std::span(memory)).first(bytes);
    code_scales(last, 0, columns, offset, magnitudes, out.data());
    EXPECT_TRUE(std::ranges::equal(out, apart)) << row_scales;
  }
}

}  // namespace
}  // namespace initrt
