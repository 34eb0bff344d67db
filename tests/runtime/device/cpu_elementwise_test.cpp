// The ops that walk elements: conversions, exp, rotary and add.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class CpuElementwise : public CpuTest {};

TEST_P(CpuElementwise, ToFloatIsExactForEvery16BitPattern) {
  const auto cpu = device(2);
  std::vector<std::uint16_t> bits(65536 + 5);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  std::vector<float> out(bits.size());
  for (const DType dtype : {DType::BF16, DType::F16}) {
    cpu->to_float(reinterpret_cast<const std::byte*>(bits.data()), dtype, out.data(), bits.size());
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const auto expected = static_cast<float>(decode(bits[i], dtype));
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(out[i])) << i;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(expected))
            << name(dtype) << " " << i;
      }
    }
  }
}

TEST_P(CpuElementwise, ToFloatCopiesFloat32) {
  const auto in = random(37);
  std::vector<float> out(in.size());
  device()->to_float(reinterpret_cast<const std::byte*>(in.data()), DType::F32, out.data(),
                     in.size());
  EXPECT_TRUE(same_bits(in, out));
}

TEST_P(CpuElementwise, NarrowingRoundsToNearestEvenOverTheWholeRange) {
  std::vector<float> in = {0.0f,     -0.0f,      infinity, -infinity, nan,          0x1p-24f,
                           0x1p-25f, 0x1.8p-25f, 0x1p-14f, 65504.0f,  65519.996f,   65520.0f,
                           65536.0f, 3.4e38f,    1e-40f,   -1e-40f,   0x1.ffcp-15f, 0x1.01p0f};
  for (std::uint64_t pattern = 0; pattern < (1ull << 32); pattern += 65449) {
    in.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(pattern)));
  }
  const cpu::Kernels& kernels = cpu::kernels_of(GetParam());
  std::vector<std::uint16_t> out(in.size());
  for (const auto& [storage, dtype] :
       {std::pair{cpu::Storage::Bf16, DType::BF16}, std::pair{cpu::Storage::F16, DType::F16}}) {
    kernels.from_float[static_cast<int>(storage)](
        in.data(), reinterpret_cast<std::byte*>(out.data()), in.size());
    for (std::size_t i = 0; i < in.size(); ++i) {
      const double got = decode(out[i], dtype);
      if (std::isnan(in[i])) {
        ASSERT_TRUE(std::isnan(got)) << i;
      } else {
        ASSERT_EQ(out[i], encode(rounded(in[i], dtype), dtype)) << name(dtype) << " " << in[i];
      }
    }
  }
}

TEST_P(CpuElementwise, ExpIsWithinTwoUnitsInTheLastPlace) {
  std::vector<float> in;
  for (std::uint64_t pattern = 0; pattern < (1ull << 32); pattern += 4099) {
    in.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(pattern)));
  }
  for (float x = -105.0f; x < 90.0f; x += 0.00037f) in.push_back(x);
  std::vector<float> out(in.size());
  cpu::kernels_of(GetParam()).exp(in.data(), out.data(), in.size());
  double worst = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (std::isnan(in[i])) {
      ASSERT_TRUE(std::isnan(out[i]));
      continue;
    }
    const double expected = std::exp(static_cast<double>(in[i]));
    if (expected >= 0x1.ffffffp127) {
      ASSERT_EQ(out[i], infinity) << in[i];
      continue;
    }
    const double place = std::ldexp(1.0, std::max(std::ilogb(expected), -126) - 23);
    const double error = std::abs(out[i] - expected) / place;
    ASSERT_LE(error, 2.0) << in[i] << " gives " << out[i] << ", expected " << expected;
    worst = std::max(worst, error);
  }
  RecordProperty("worst_ulp", std::to_string(worst));
}

TEST_P(CpuElementwise, ExpOfTheEndsOfTheRange) {
  const std::vector<float> in = {-infinity, infinity, 0.0f, -0.0f, 1e30f, -1e30f, nan};
  std::vector<float> out(in.size());
  cpu::kernels_of(GetParam()).exp(in.data(), out.data(), in.size());
  EXPECT_THAT(out,
              testing::ElementsAre(0.0f, infinity, 1.0f, 1.0f, infinity, 0.0f, testing::IsNan()));
}

TEST_P(CpuElementwise, RotaryTurnsPairsAndLeavesTheRest) {
  const auto cpu = device(2);
  struct Case {
    std::uint32_t heads, head_size, dimensions;
  };
  for (const auto& [heads, head_size, dimensions] :
       {Case{9, 64, 64}, Case{3, 10, 6}, Case{2, 80, 32}, Case{1, 2, 2}, Case{4, 128, 128}}) {
    const std::size_t rows = 20, half = dimensions / 2, columns = heads * head_size;
    const auto table = random(rows * dimensions);
    const auto before = random(rows * columns);
    auto x = before;
    cpu->rotary(x.data(), rows, heads, head_size, dimensions, table.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t at = i % head_size;
      if (at >= dimensions) {
        ASSERT_EQ(x[i], before[i]);
        continue;
      }
      const float* cosines = table.data() + i / columns * dimensions;
      const double c = cosines[at % half], s = cosines[half + at % half];
      const double a = before[i] * c;
      const double b = at < half ? -before[i + half] * s : before[i - half] * s;
      ASSERT_NEAR(x[i], a + b, (std::abs(a) + std::abs(b)) * 0x1p-23);
    }
  }
}

TEST_P(CpuElementwise, AddIsTheFloat32Sum) {
  for (const std::size_t elements : {1, 16, 33, 50001}) {
    const auto x = random(elements), before = random(elements);
    auto into = before;
    device(2)->add(x.data(), into.data(), elements);
    for (std::size_t i = 0; i < elements; ++i) ASSERT_EQ(into[i], before[i] + x[i]);
  }
}

TEST_P(CpuElementwise, WrongArgumentsAreErrors) {
  const auto cpu = device();
  std::vector<float> x(16);
  EXPECT_THAT([&] { cpu->rotary(x.data(), 1, 1, 8, 10, x.data()); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("10 dimensions of heads of 8")));
  EXPECT_THAT([&] { cpu->rotary(x.data(), 1, 1, 8, 3, x.data()); }, testing::Throws<Error>());
  EXPECT_THAT([&] { cpu->to_float(nullptr, DType::U8, x.data(), 1); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("cpu to_float: dtype U8")));
  EXPECT_THAT(
      [&] {
        cpu->norm(NormKind::Rms, x.data(), {nullptr, nullptr, DType::Q8_0}, 1e-5f, x.data(), 1, 4);
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("cpu norm: dtype Q8_0")));
}

INSTANTIATE_TEST_SUITE_P(, CpuElementwise, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
