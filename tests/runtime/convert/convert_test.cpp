// Plain dtypes, bit by bit against conversions by value.
#include "runtime/convert/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "runtime/convert/decode.h"
#include "tests/runtime/convert/reference_convert.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::FloatFormat;
using testing::kBF16;
using testing::kE5M2;
using testing::kF16;
using testing::kF32;
using testing::narrow;
using testing::widen;

struct Target {
  DType dtype;
  FloatFormat format;
};
constexpr Target kTargets[] = {{DType::F32, kF32}, {DType::BF16, kBF16}, {DType::F16, kF16}};

/// Converts elements of type T and gives the results' bits.
template <class T>
std::vector<std::uint32_t> converted(const std::vector<T>& in, DType from, DType to) {
  std::vector<std::byte> out(in.size() * info(to).block_bytes);
  convert(std::as_bytes(std::span(in)), from, 0, in.size(), out.data(), to);
  std::vector<std::uint32_t> bits(in.size(), 0);
  for (std::size_t i = 0; i < in.size(); ++i) {
    std::memcpy(&bits[i], out.data() + i * info(to).block_bytes, info(to).block_bytes);
  }
  return bits;
}

/// NaN where the value is one, else the nearest bits.
void expect_bits(std::uint32_t got, double value, FloatFormat format, std::uint64_t source) {
  if (std::isnan(value)) {
    ASSERT_TRUE(std::isnan(widen(got, format))) << std::hex << source << " -> " << got;
    ASSERT_EQ((got & format.sign_bit()) != 0, std::signbit(value)) << std::hex << source;
    return;
  }
  ASSERT_EQ(got, narrow(value, format)) << std::hex << source;
}

/// Every element of `in`, whose values `value_of` tells, to each target dtype.
template <class T, class ValueOf>
void expect_values(const std::vector<T>& in, DType from, const ValueOf& value_of) {
  for (const Target& target : kTargets) {
    if (target.dtype == from) continue;
    const std::vector<std::uint32_t> got = converted(in, from, target.dtype);
    for (std::size_t i = 0; i < in.size(); ++i) {
      ASSERT_NO_FATAL_FAILURE(
          expect_bits(got[i], value_of(in[i]), target.format, std::uint64_t{in[i]}));
    }
  }
}

template <class T>
std::vector<T> all_bits() {
  std::vector<T> all;
  for (std::uint32_t bits = 0; bits <= std::numeric_limits<T>::max(); ++bits) {
    all.push_back(static_cast<T>(bits));
  }
  return all;
}

TEST(Convert, EveryF16Value) {
  expect_values(all_bits<std::uint16_t>(), DType::F16,
                [](std::uint16_t bits) { return widen(bits, kF16); });
}

TEST(Convert, EveryBF16Value) {
  expect_values(all_bits<std::uint16_t>(), DType::BF16,
                [](std::uint16_t bits) { return widen(bits, kBF16); });
}

TEST(Convert, EveryF8Value) {
  expect_values(all_bits<std::uint8_t>(), DType::F8_E5M2,
                [](std::uint8_t bits) { return widen(bits, kE5M2); });
  expect_values(all_bits<std::uint8_t>(), DType::F8_E4M3,
                [](std::uint8_t bits) { return testing::widen_e4m3(bits); });
  expect_values(all_bits<std::uint8_t>(), DType::F8_E4M3FNUZ,
                [](std::uint8_t bits) { return testing::widen_fnuz(bits, 3, 8); });
  expect_values(all_bits<std::uint8_t>(), DType::F8_E5M2FNUZ,
                [](std::uint8_t bits) { return testing::widen_fnuz(bits, 2, 16); });
  EXPECT_EQ(testing::widen_fnuz(0x7f, 3, 8), 240.0);
  EXPECT_EQ(testing::widen_fnuz(0x7f, 2, 16), 57344.0);
  // The specification's own examples.
  EXPECT_EQ(testing::widen_e4m3(0x7e), 448.0);
  EXPECT_EQ(testing::widen_e4m3(0x01), std::ldexp(1.0, -9));
  EXPECT_EQ(widen(0x7b, kE5M2), 57344.0);
}

TEST(Convert, F32TiesAndTheirNeighbours) {
  // Halfway between each value of 16 bits and the next, and the floats on either side of it.
  std::vector<std::uint32_t> in;
  for (const FloatFormat format : {kBF16, kF16}) {
    const std::uint32_t infinity = format.exponent_ones() << format.mantissa_bits;
    for (std::uint32_t bits = 0; bits < infinity; ++bits) {
      const double low = widen(bits, format);
      const double high =
          bits + 1 < infinity ? widen(bits + 1, format) : 2 * low - widen(bits - 1, format);
      const std::uint32_t middle = narrow((low + high) / 2, kF32);
      for (const std::uint32_t near : {middle - 1, middle, middle + 1}) {
        in.push_back(near);
        in.push_back(near | kF32.sign_bit());
      }
    }
  }
  expect_values(in, DType::F32, [](std::uint32_t bits) { return widen(bits, kF32); });
}

TEST(Convert, F32OfRandomBitsAndSpecialValues) {
  std::mt19937 rng(1);
  std::vector<std::uint32_t> in = {0,          0x80000000, 1,          0x807fffff, 0x00800000,
                                   0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffffffff,
                                   0x7fc00000, 0x477fefff, 0x477ff000, 0x33000000, 0x33000001};
  for (int i = 0; i < 500'000; ++i) in.push_back(static_cast<std::uint32_t>(rng()));
  expect_values(in, DType::F32, [](std::uint32_t bits) { return widen(bits, kF32); });
}

TEST(Convert, F64GoesThroughFloat32) {
  std::mt19937_64 rng(2);
  std::vector<std::uint64_t> in;
  for (const double value :
       {0.0, -0.0, 1.0, 1.0 + 0x1p-24, 1.0 + 0x1p-24 + 0x1p-52, 1e300, -1e300, 0x1p-149, 0x1p-150,
        0x1.8p-150, -0x1p-1074, 0x1.ffffffp127, std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    in.push_back(std::bit_cast<std::uint64_t>(value));
  }
  for (int i = 0; i < 100'000; ++i) {
    // Exponents around float32's range, full mantissas.
    const std::uint64_t exponent = 1023 - 160 + rng() % 320;
    in.push_back((rng() & 0x800fffffffffffff) | exponent << 52);
  }
  expect_values(in, DType::F64, [](std::uint64_t bits) {
    return widen(narrow(std::bit_cast<double>(bits), kF32), kF32);
  });
}

TEST(Convert, TheSameDtypeIsCopiedBitByBit) {
  const std::vector<std::uint16_t> halves = all_bits<std::uint16_t>();
  for (const DType dtype : {DType::F16, DType::BF16, DType::I16}) {
    const std::vector<std::uint32_t> got = converted(halves, dtype, dtype);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), halves.begin()));
  }
  const std::vector<std::uint32_t> words = {0x7f800001, 0xffc12345, 1, 0x80000000};
  EXPECT_EQ(converted(words, DType::F32, DType::F32), words) << "signalling NaNs too";
}

TEST(Convert, LogarithmsAreRoundedOnce) {
  std::mt19937 rng(5);
  std::uint32_t off = 0;
  for (int i = 0; i < 100000; ++i) {
    const auto x = std::bit_cast<float>(i < 2000 ? static_cast<std::uint32_t>(i) + 1
                                                 : static_cast<std::uint32_t>(rng() % 0x7f800000u));
    const auto expected = static_cast<float>(std::log(static_cast<double>(x)));
    const float got = decode::log(x);
    ASSERT_NEAR(got, expected, std::abs(expected) * 0x1p-23) << x;
    off += got != expected ? 1 : 0;
  }
  EXPECT_LE(off, 2u) << "but where double lies between two";
  EXPECT_EQ(decode::log(1.0f), 0.0f);
  EXPECT_EQ(decode::log(0.0f), -INFINITY);
  EXPECT_EQ(decode::log(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(decode::log(-1.0f)));
  EXPECT_TRUE(std::isnan(decode::log(NAN)));
  EXPECT_EQ(decode::mapped({0, true}, -1.0f), 0.0f);
}

TEST(Convert, AnyCountAtAnyAddressGivesTheSameBits) {
  std::mt19937 rng(3);
  std::vector<std::byte> bytes(8 * 1200);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
  for (const DType from : {DType::F64, DType::F32, DType::F16, DType::BF16, DType::F8_E4M3,
                           DType::F8_E5M2, DType::F8_E4M3FNUZ, DType::F8_E5M2FNUZ}) {
    const std::uint64_t in_bytes = info(from).block_bytes;
    for (const Target& target : kTargets) {
      const std::uint64_t out_bytes = info(target.dtype).block_bytes;
      for (const std::uint64_t count : {1, 2, 7, 31, 33, 255, 256, 257, 511, 513, 1000}) {
        std::vector<std::byte> one_by_one(count * out_bytes);
        for (std::uint64_t i = 0; i < count; ++i) {
          convert(std::span(bytes).subspan(3 + i * in_bytes, in_bytes), from, 0, 1,
                  one_by_one.data() + i * out_bytes, target.dtype);
        }
        std::vector<std::byte> out(1 + count * out_bytes + 16, std::byte{0xee});
        convert(std::span(bytes).subspan(3, count * in_bytes), from, 0, count, out.data() + 1,
                target.dtype);
        ASSERT_TRUE(std::equal(one_by_one.begin(), one_by_one.end(), out.begin() + 1));
        for (std::size_t i = 1 + count * out_bytes; i < out.size(); ++i) {
          ASSERT_EQ(out[i], std::byte{0xee}) << "written past the end";
        }
        ASSERT_EQ(out[0], std::byte{0xee});
      }
    }
  }
}

TEST(Convert, WhatItCannotDoIsAnError) {
  const std::vector<std::byte> in(100);
  std::vector<std::byte> out(1000);
  const auto error_of_convert = [&](DType from, std::uint32_t skip, std::uint64_t elements,
                                    DType to) {
    return testing::error_of([&] { convert(in, from, skip, elements, out.data(), to); });
  };
  EXPECT_FALSE(can_convert(DType::I64, DType::F32));
  EXPECT_EQ(error_of_convert(DType::I64, 0, 1, DType::F32), "no conversion from I64 to F32");
  EXPECT_FALSE(can_convert(DType::F32, DType::Q8_0));
  EXPECT_EQ(error_of_convert(DType::F32, 0, 1, DType::Q8_0), "no conversion from F32 to Q8_0");
  EXPECT_NE(error_of_convert(DType::F32, 0, 26, DType::F16).find("100 bytes given, 104 needed"),
            std::string::npos);
  EXPECT_NE(error_of_convert(DType::F32, 1, 1, DType::F16).find("from element 1"),
            std::string::npos);
  EXPECT_NE(error_of_convert(DType::Q8_0, 32, 1, DType::F16).find("from element 32"),
            std::string::npos);
  EXPECT_NE(error_of_convert(DType::Q8_0, 1, 64, DType::F16).find("102 needed"), std::string::npos);
  EXPECT_NE(error_of_convert(DType::Q8_0, 1, 31, DType::Q8_0).find("cannot copy a part"),
            std::string::npos);
  EXPECT_NO_THROW(convert({}, DType::F32, 0, 0, nullptr, DType::F16));
}

TEST(Convert, EveryDtypeOfWeightsGoesToEveryPrecision) {
  for (int i = 0; i <= static_cast<int>(DType::MXFP4); ++i) {
    const auto from = static_cast<DType>(i);
    // Integers, and what means nothing without scales of another tensor.
    const bool no_weights = from >= DType::F8_E8M0 && from <= DType::BOOL;
    for (const Target& target : kTargets) {
      EXPECT_EQ(can_convert(from, target.dtype), !no_weights) << name(from);
    }
  }
}

}  // namespace
}  // namespace initrt
