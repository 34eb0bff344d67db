// The ops of every device that walk elements: conversions, gates, caps, scales, sums and rotary.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/devices.h"

namespace initrt::test {
namespace {

class DeviceElementwise : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceElementwise, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceElementwise, ToFloatIsExactForEvery16BitPattern) {
  auto device = this->device();
  std::vector<std::uint16_t> bits(65536 + 5);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  const auto in = device.put(bits);
  const auto out = device.put(std::vector<float>(bits.size()));
  for (const DType dtype : {DType::BF16, DType::F16}) {
    std::vector<float> expected;
    for (const std::uint16_t pattern : bits) {
      expected.push_back(static_cast<float>(decode(pattern, dtype)));
    }
    device->to_float(reinterpret_cast<const std::byte*>(in.get()), dtype, out.get(), bits.size());
    EXPECT_TRUE(same_numbers(device.get(out), expected)) << name(dtype);
  }
}

TEST_P(DeviceElementwise, ToFloatIsTheValueAnywhere) {
  auto device = this->device();
  for (const DType dtype : dtypes) {
    for (const std::size_t length : kLengths) {
      for (const std::size_t misaligned : {std::uint64_t{0}, bytes_of(dtype, 1)}) {
        auto expected = random(length);
        const auto in = device.put(stored(expected, dtype), misaligned);
        const auto out = device.put(std::vector<float>(length));
        device->to_float(in.get(), dtype, out.get(), length);
        EXPECT_TRUE(same_bits(device.get(out), expected)) << name(dtype) << " " << length;
      }
    }
  }
}

double in_double(GateFunction function, double x) {
  switch (function) {
    case GateFunction::Silu:
      return x / (1 + std::exp(-x));
    case GateFunction::Gelu:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case GateFunction::GeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case GateFunction::QuickGelu:
      return x / (1 + std::exp(-1.702 * x));
    case GateFunction::Sigmoid:
      return 1 / (1 + std::exp(-x));
    case GateFunction::Relu2:
      return x < 0 ? 0 : x * x;
  }
  return 0;
}

/// Those that are their input or nothing where that is large.
constexpr GateFunction functions[] = {GateFunction::Silu, GateFunction::Gelu,
                                      GateFunction::GeluTanh, GateFunction::QuickGelu};

TEST_P(DeviceElementwise, GatesAgreeWithDouble) {
  auto one = device(1), three = device(3);
  const auto run = [](OnDevice& device, GateFunction function, const std::vector<float>& gate,
                      const std::vector<float>* up) {
    const auto gate_there = device.put(gate);
    const auto up_there = device.put(up != nullptr ? *up : std::vector<float>{}, 4);
    const auto out = device.put(std::vector<float>(gate.size()));
    device->gate(function, gate_there.get(), up != nullptr ? up_there.get() : nullptr, out.get(),
                 gate.size());
    return device.get(out);
  };
  std::vector<GateFunction> all(std::begin(functions), std::end(functions));
  all.insert(all.end(), {GateFunction::Sigmoid, GateFunction::Relu2});
  for (const GateFunction function : all) {
    for (const std::size_t elements : {1, 15, 16, 17, 40000}) {
      auto gate = random(elements, 5.0f);
      gate[0] = -200.0f;
      const auto up = random(elements);
      const auto out = run(one, function, gate, &up), alone = run(one, function, gate, nullptr);
      EXPECT_TRUE(same_bits(out, run(three, function, gate, &up)));
      for (std::size_t i = 0; i < elements; ++i) {
        const double expected = in_double(function, gate[i]);
        const double tolerance = std::abs(expected) * 0x1p-20 + 4e-7;
        ASSERT_NEAR(alone[i], expected, tolerance) << gate[i];
        ASSERT_EQ(out[i], alone[i] * up[i]);
      }
    }
  }
}

TEST_P(DeviceElementwise, RowsAreMultipliedWithSigmoids) {
  auto one = device(1), three = device(3);
  for (const std::size_t columns : {1, 4, 7, 20001}) {
    const std::size_t rows = 5;
    const auto before = random(rows * columns);
    auto gate = random(rows, 4.0f);
    gate[1] = -200.0f;
    const auto run = [&](OnDevice& device) {
      const auto x = device.put(before);
      const auto gate_there = device.put(gate);
      device->gate_rows(gate_there.get(), x.get(), rows, columns);
      return device.get(x);
    };
    const auto after = run(one);
    EXPECT_TRUE(same_bits(after, run(three)));
    for (std::size_t i = 0; i < after.size(); ++i) {
      const double expected = before[i] * in_double(GateFunction::Sigmoid, gate[i / columns]);
      ASSERT_NEAR(after[i], expected, std::abs(expected) * 0x1p-20 + 1e-12) << i;
    }
  }
}

// gpt-oss's: (up + 1) * gate * sigmoid(1.702 gate), gate at most 7, up from -7 to 7.
TEST_P(DeviceElementwise, GatesWithinALimitAgreeWithDouble) {
  auto device = this->device(2);
  const Gating gating(GateFunction::QuickGelu, 7.0f, 1.0f);
  for (const std::size_t elements : {1, 17, 1025, 40000}) {
    auto gate = random(elements, 12.0f), up = random(elements, 12.0f);
    gate[0] = -200.0f;
    const auto gate_there = device.put(gate), up_there = device.put(up);
    device->gate(gating, gate_there.get(), up_there.get(), gate_there.get(), elements);
    const auto out = device.get(gate_there);
    for (std::size_t i = 0; i < elements; ++i) {
      const double at_most = std::min(double{gate[i]}, 7.0);
      const double expected =
          in_double(gating.function, at_most) * (std::clamp(double{up[i]}, -7.0, 7.0) + 1);
      ASSERT_NEAR(out[i], expected, std::abs(expected) * 0x1p-20 + 4e-6) << gate[i] << " " << up[i];
    }
  }
}

TEST_P(DeviceElementwise, GatesOfLargeInputsAreTheInputOrNothingAndNanStays) {
  auto device = this->device();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> in = {-1e30f, -50.0f, 0.0f, 50.0f, 1e30f, nan, 1.0f};
  const auto up = device.put(std::vector<float>{1, 1, 1, 1, 1, 1, nan});
  for (const GateFunction function : functions) {
    const auto x = device.put(in);
    device->gate(function, x.get(), up.get(), x.get(), in.size());  // in place
    const auto out = device.get(x);
    EXPECT_NEAR(out[0], 0.0f, 1e-6f);
    EXPECT_NEAR(out[1], 0.0f, 1e-6f);
    EXPECT_EQ(out[2], 0.0f);
    EXPECT_EQ(out[3], 50.0f);
    EXPECT_EQ(out[4], 1e30f);
    EXPECT_TRUE(std::isnan(out[5]) && std::isnan(out[6]));
  }
}

TEST_P(DeviceElementwise, SoftcapBendsRowsAndLeavesWhatLiesBetween) {
  auto device = this->device();
  for (const std::size_t columns : {1, 4, 7, 1030, 20001}) {
    for (const std::size_t stride : {columns, columns + 5, (columns + 8) / 4 * 4}) {
      for (const float cap : {0.5f, 30.0f}) {
        const auto before = random(3 * stride, 40.0f);
        const auto x = device.put(before);
        device->softcap(x.get(), cap, 3, columns, stride);
        const auto after = device.get(x);
        for (std::size_t i = 0; i < after.size(); ++i) {
          if (i % stride >= columns) {
            ASSERT_EQ(after[i], before[i]);
            continue;
          }
          const double expected = cap * std::tanh(static_cast<double>(before[i]) / cap);
          ASSERT_NEAR(after[i], expected, cap * 0x1p-21) << before[i];
        }
      }
    }
  }
}

TEST_P(DeviceElementwise, SumsAndScalesAreThoseOfFloat32) {
  auto device = this->device();
  std::vector<std::size_t> lengths(std::begin(kLengths), std::end(kLengths));
  lengths.push_back(50001);
  for (const std::size_t length : lengths) {
    for (const std::size_t misaligned : {0, 4}) {
      const auto x = with_specials(length), before = random(length);
      std::vector<float> sums, scaled;
      for (std::size_t i = 0; i < length; ++i) {
        sums.push_back(before[i] + x[i]);
        scaled.push_back(x[i] * 0.3f);
      }
      const auto x_there = device.put(x, misaligned), into = device.put(before);
      device->add(x_there.get(), into.get(), length);
      device->scale(x_there.get(), 0.3f, length);
      EXPECT_TRUE(same_numbers(device.get(into), sums)) << length;
      EXPECT_TRUE(same_numbers(device.get(x_there), scaled)) << length;
      const auto factor = device.put(std::vector<float>{-1.7f}), by = device.put(x, misaligned);
      for (std::size_t i = 0; i < length; ++i) scaled[i] = x[i] * -1.7f;
      device->scale_by(reinterpret_cast<const std::byte*>(factor.get()), by.get(), length);
      EXPECT_TRUE(same_numbers(device.get(by), scaled)) << length;
      device->scale(by.get(), 0, length);  // infinities and NaNs too
      EXPECT_TRUE(same_bits(device.get(by), std::vector<float>(length))) << length;
    }
  }
}

TEST_P(DeviceElementwise, RotaryTurnsPairsAndLeavesTheRest) {
  auto device = this->device();
  struct Case {
    std::uint32_t heads, head_size, dimensions;
  };
  for (const auto& [heads, head_size, dimensions] :
       {Case{9, 64, 64}, Case{3, 10, 6}, Case{2, 80, 32}, Case{1, 2, 2}, Case{4, 128, 128},
        Case{5, 6, 6}, Case{2, 10, 4}}) {
    const std::size_t rows = 20, half = dimensions / 2, columns = heads * head_size;
    const auto table = random(rows * dimensions), before = random(rows * columns);
    const auto angles = device.put(table), x = device.put(before);
    device->rotary(x.get(), rows, heads, head_size, dimensions, angles.get());
    const auto after = device.get(x);
    for (std::size_t i = 0; i < after.size(); ++i) {
      const std::size_t at = i % head_size;
      if (at >= dimensions) {
        ASSERT_EQ(after[i], before[i]);
        continue;
      }
      const float* cosines = table.data() + i / columns * dimensions;
      const double c = cosines[at % half], s = cosines[half + at % half];
      const double a = before[i] * c;
      const double b = at < half ? -before[i + half] * s : before[i - half] * s;
      ASSERT_NEAR(after[i], a + b, (std::abs(a) + std::abs(b)) * 0x1p-23);
    }
  }
}

TEST_P(DeviceElementwise, RefuseDtypesAndDimensionsThatTheyDoNotHave) {
  auto device = this->device();
  const auto x = device.put(std::vector<float>(16));
  auto* const bytes = reinterpret_cast<std::byte*>(x.get());
  EXPECT_THAT([&] { device->rotary(x.get(), 1, 1, 8, 10, x.get()); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("10 dimensions of heads of 8")));
  EXPECT_THROW(device->rotary(x.get(), 1, 1, 8, 3, x.get()), Error);
  EXPECT_THROW(device->to_float(bytes, DType::U8, x.get(), 1), Error);
  EXPECT_THROW(
      device->norm(NormKind::Rms, x.get(), {bytes, nullptr, DType::Q8_0}, 1e-5f, x.get(), 1, 4),
      Error);
}

TEST_P(DeviceElementwise, NothingIsDoneForNothing) {
  auto device = this->device();
  const auto before = random(4);
  const auto x = device.put(before);
  auto* const bytes = reinterpret_cast<std::byte*>(x.get());
  device->to_float(bytes, DType::BF16, x.get(), 0);
  device->norm(NormKind::Rms, x.get(), {bytes}, 1e-5f, x.get(), 0, 4);
  device->rotary(x.get(), 0, 1, 4, 4, x.get());
  device->rotary(x.get(), 1, 1, 4, 0, x.get());
  device->gate(GateFunction::Silu, x.get(), nullptr, x.get(), 0);
  device->gate_rows(x.get(), x.get(), 0, 4);
  device->add(x.get(), x.get(), 0);
  device->scale(x.get(), 2, 0);
  device->softcap(x.get(), 2, 0, 4, 4);
  device->copy({});
  EXPECT_TRUE(same_bits(device.get(x), before));
}

}  // namespace
}  // namespace initrt::test
