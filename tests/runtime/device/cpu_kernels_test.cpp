// Kernels that ops are made of, and how the CPU device names an op in its errors.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class CpuKernels : public CpuTest {};

TEST_P(CpuKernels, NarrowingRoundsToNearestEvenOverTheWholeRange) {
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

TEST_P(CpuKernels, ExpIsWithinTwoUnitsInTheLastPlace) {
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

TEST_P(CpuKernels, ExpOfTheEndsOfTheRange) {
  const std::vector<float> in = {-infinity, infinity, 0.0f, -0.0f, 1e30f, -1e30f, nan};
  std::vector<float> out(in.size());
  cpu::kernels_of(GetParam()).exp(in.data(), out.data(), in.size());
  EXPECT_THAT(out,
              testing::ElementsAre(0.0f, infinity, 1.0f, 1.0f, infinity, 0.0f, testing::IsNan()));
}

TEST_P(CpuKernels, WrongArgumentsAreErrors) {
  const auto cpu = device();
  std::vector<float> x(2048);
  EXPECT_THAT([&] { cpu->to_float(nullptr, DType::U8, x.data(), 1); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("cpu to_float: dtype U8")));
  auto* const bytes = reinterpret_cast<std::byte*>(x.data());
  EXPECT_THAT(
      [&] {
        cpu->norm(NormKind::Rms, x.data(), {bytes, nullptr, DType::Q8_0}, 1e-5f, x.data(), 1, 4);
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("cpu norm: dtype Q8_0")));
  const std::vector<RowInfo> rows(1);
  cpu->set_rows(rows, {});
  EXPECT_THAT(
      [&] {
        cpu->attention(x.data(), {1, 1, 577, 1.0f}, {bytes, bytes, DType::F32, 1}, x.data());
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("heads of 577 elements")));
  EXPECT_THAT(
      [&] {
        cpu->store_kv(x.data(), x.data(), {1, 1, 4, 1.0f}, {bytes, bytes, DType::I8, 1});
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("cpu store_kv: dtype I8")));
}

INSTANTIATE_TEST_SUITE_P(, CpuKernels, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
