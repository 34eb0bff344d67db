// What reads a sequence row by row, on every device: convolutions and the gated delta rule against
// the plain recurrence in double, and bit for bit against themselves in whatever chunks and company
// rows come. States hold NaN where nothing has been stored.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/sequences.h"

namespace initrt::test {
namespace {

struct Convolution {
  std::size_t taps, columns, block;  // of rows, as ranks hold them
  DType dtype;
  std::vector<RowInfo> rows;
  std::vector<float> x, weights, bias;  // the last may be empty
  std::vector<std::byte> stored;

  [[nodiscard]] std::size_t state_elements() const { return (taps - 1) * columns; }

  /// @returns each row's results, whichever call it comes in
  [[nodiscard]] std::vector<float> run(OnDevice& device, const std::vector<Order>& calls) const {
    const BlocksOfRows there(device, stored, bytes_of(dtype, columns), block);
    const BlocksOfRows added(device, floats(bias), sizeof(float), columns / 2 + 1);
    const ConvolutionWeights by{there.blocks, dtype, static_cast<std::uint32_t>(taps),
                                bias.empty() ? RowBlocks() : added.blocks};
    const auto states = device.put(nans((rows.size() + 2) * state_elements()));
    std::vector<float> out(x.size());
    for (const Order& call : calls) {
      set_rows(device, rows, call);
      const auto some = device.put(pick(x, call, columns));
      device->convolve(some.get(), by, columns, states.get());
      put_back(out, call, columns, device.get(some));
    }
    return out;
  }

  [[nodiscard]] double expected(std::size_t row, std::size_t column) const {
    double sum = bias.empty() ? 0 : bias[column];
    for (std::size_t j = 0; j < taps; ++j) {
      const std::size_t back = taps - 1 - j;
      if (back > rows[row].position) continue;
      sum += double{weights[j * columns + column]} * x[(row - back) * columns + column];
    }
    return sum / (1 + std::exp(-sum));
  }
};

class DeviceConvolution : public DeviceTest {
 protected:
  Convolution make(std::size_t taps, std::size_t columns, std::size_t block, DType dtype,
                   const std::vector<std::uint32_t>& lengths) {
    Convolution of{taps, columns, block, dtype, rows_of(lengths), {}, random(taps * columns),
                   {},   {}};
    of.x = random(of.rows.size() * columns);
    of.stored = test::stored(of.weights, dtype);
    return of;
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceConvolution, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceConvolution, AgreesWithTheSumInDouble) {
  auto device = this->device();
  for (const DType dtype : dtypes) {
    for (const auto& [taps, columns, block] :
         {std::array<std::size_t, 3>{4, 300, 4}, {4, 7, 1}, {2, 16, 2}, {8, 33, 3}, {1, 5, 1}}) {
      Convolution of = make(taps, columns, block, dtype, {1, 9, 3});
      if (taps > 1) of.bias = random(columns);
      const auto out = of.run(device, {all_of(of.rows)});
      for (std::size_t i = 0; i < out.size(); ++i) {
        const double expected = of.expected(i / columns, i % columns);
        ASSERT_NEAR(out[i], expected, 2e-6 * (1 + std::abs(expected)))
            << name(dtype) << ", " << taps << " taps, row " << i / columns << ", " << i % columns;
      }
    }
  }
}

TEST_P(DeviceConvolution, ChunksAndCompanyDoNotChangeABit) {
  auto one = device(1), three = device(3);
  Convolution of = make(4, 300, 2, DType::BF16, {7, 1, 12});
  of.bias = random(300);
  const auto whole = of.run(one, {all_of(of.rows)});
  EXPECT_TRUE(same_bits(of.run(three, {all_of(of.rows)}), whole));
  for (const std::uint32_t chunk : {1, 2, 5}) {
    EXPECT_TRUE(same_bits(of.run(one, in_turns(of.rows, chunk)), whole)) << chunk;
  }
}

TEST_P(DeviceConvolution, RefusesTapsThatItHasNoRoomFor) {
  auto device = this->device();
  const auto x = device.put(std::vector<float>(64));
  const auto* const bytes = reinterpret_cast<const std::byte*>(x.get());
  for (const std::uint32_t taps : {0u, kMaxTaps + 1}) {
    EXPECT_THAT(
        [&] {
          device->convolve(x.get(), {bytes, DType::F32, taps}, 4, x.get());
        },
        testing::ThrowsMessage<Error>(testing::HasSubstr("expected from 1 to 8")));
  }
}

struct Delta {
  DeltaShape shape;
  std::vector<RowInfo> rows;
  std::vector<float> q, k, v, decay, beta, a_log, dt_bias;

  [[nodiscard]] std::size_t keys() const { return std::size_t{shape.key_heads} * shape.key_size; }
  [[nodiscard]] std::size_t values() const {
    return std::size_t{shape.value_heads} * shape.value_size;
  }

  struct Results {
    std::vector<float> out, decay, beta;
  };
  /// @param in_place where results take the place of values
  [[nodiscard]] Results run(OnDevice& device, const std::vector<Order>& calls,
                            bool in_place = false) const {
    const std::size_t heads = shape.value_heads;
    DeltaShape there = shape;
    const BlocksOfRows a(device, floats(a_log), 4, 2), dt(device, floats(dt_bias), 4, 1);
    there.a_log = a.blocks;
    there.dt_bias = dt.blocks;
    const auto states = device.put(nans((rows.size() + 2) * values() * shape.key_size));
    Results results{std::vector<float>(v.size()), decay, beta};
    for (const Order& call : calls) {
      set_rows(device, rows, call);
      const auto some_q = device.put(pick(q, call, keys()));
      const auto some_k = device.put(pick(k, call, keys()));
      const auto some_v = device.put(pick(v, call, values()));
      const auto some_decay = device.put(pick(decay, call, heads));
      const auto some_beta = device.put(pick(beta, call, heads));
      const auto out = device.put(std::vector<float>(call.size() * values()));
      device->delta_rule({some_q.get(), some_k.get(), some_v.get(), some_decay.get(),
                          some_beta.get(), in_place ? some_v.get() : out.get()},
                         there, states.get());
      put_back(results.out, call, values(), device.get(in_place ? some_v : out));
      put_back(results.decay, call, heads, device.get(some_decay));
      put_back(results.beta, call, heads, device.get(some_beta));
    }
    return results;
  }

  /// All rows, in double.
  [[nodiscard]] std::vector<double> expected() const {
    std::vector<double> out(v.size());
    for (std::size_t head = 0; head < shape.value_heads; ++head) {
      std::vector<double> state;
      for (std::size_t row = 0; row < rows.size(); ++row) {
        if (rows[row].position == 0)
          state.assign(std::size_t{shape.key_size} * shape.value_size, 0);
        step(row, head, state, out.data() + row * values() + head * shape.value_size);
      }
    }
    return out;
  }

 private:
  [[nodiscard]] std::vector<double> unit(const std::vector<float>& from, std::size_t row,
                                         std::size_t head) const {
    const std::size_t key_head = head / (shape.value_heads / shape.key_heads);
    const float* const x = from.data() + row * keys() + key_head * shape.key_size;
    double squares = 1e-6;
    for (std::size_t i = 0; i < shape.key_size; ++i) squares += double{x[i]} * x[i];
    std::vector<double> y(x, x + shape.key_size);
    for (double& element : y) element /= std::sqrt(squares);
    return y;
  }
  void step(std::size_t row, std::size_t head, std::vector<double>& state, double* out) const {
    const auto query = unit(q, row, head), key = unit(k, row, head);
    const std::size_t gate = row * shape.value_heads + head;
    const double g =
        -std::exp(double{a_log[head]}) * std::log1p(std::exp(double{decay[gate]} + dt_bias[head]));
    const double rate = 1 / (1 + std::exp(-double{beta[gate]}));
    for (std::size_t j = 0; j < shape.value_size; ++j) {
      double recalled = 0;
      for (std::size_t i = 0; i < shape.key_size; ++i) {
        state[i * shape.value_size + j] *= std::exp(g);
        recalled += state[i * shape.value_size + j] * key[i];
      }
      const double change = (v[row * values() + head * shape.value_size + j] - recalled) * rate;
      out[j] = 0;
      for (std::size_t i = 0; i < shape.key_size; ++i) {
        state[i * shape.value_size + j] += key[i] * change;
        out[j] += state[i * shape.value_size + j] * query[i] / std::sqrt(double(shape.key_size));
      }
    }
  }
};

class DeviceDelta : public DeviceTest {
 protected:
  Delta make(const DeltaShape& shape, const std::vector<std::uint32_t>& lengths) {
    Delta of{shape, rows_of(lengths), {}, {}, {}, {}, {}, {}, {}};
    const std::size_t rows = of.rows.size(), heads = shape.value_heads;
    of.q = random(rows * of.keys());
    of.k = random(rows * of.keys());
    of.v = random(rows * of.values());
    of.decay = random(rows * heads);
    of.beta = random(rows * heads);
    of.a_log = random(heads);
    for (float& a : of.a_log) a -= 3;  // states outlast some rows
    of.dt_bias = random(heads);
    return of;
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceDelta, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceDelta, AgreesWithTheRecurrenceInDouble) {
  auto device = this->device();
  for (const DeltaShape& shape :
       {DeltaShape{1, 1, 4, 4}, DeltaShape{2, 4, 16, 20}, DeltaShape{1, 3, 128, 70},
        DeltaShape{2, 2, 256, 33}, DeltaShape{3, 6, 7, 1}}) {
    const Delta of = make(shape, {1, 20, 4});
    const auto out = of.run(device, {all_of(of.rows)}).out;
    const auto expected = of.expected();
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], expected[i], 1e-5)
          << "row " << i / of.values() << ", keys of " << shape.key_size << ", " << i % of.values();
    }
  }
}

TEST_P(DeviceDelta, ChunksAndCompanyDoNotChangeABit) {
  auto one = device(1), three = device(3);
  const Delta of = make({2, 4, 24, 70}, {7, 1, 12});
  const auto whole = of.run(one, {all_of(of.rows)}).out;
  EXPECT_TRUE(same_bits(of.run(three, {all_of(of.rows)}).out, whole));
  EXPECT_TRUE(same_bits(of.run(one, {all_of(of.rows)}, true).out, whole)) << "in place";
  for (const std::uint32_t chunk : {1, 2, 5}) {
    EXPECT_TRUE(same_bits(of.run(one, in_turns(of.rows, chunk)).out, whole)) << chunk;
  }
}

TEST_P(DeviceDelta, GatesAgreeWithDoubleHoweverLarge) {
  auto device = this->device();
  Delta of = make({1, 9, 4, 4}, {40});
  for (std::size_t i = 0; i < of.decay.size(); ++i) {
    of.decay[i] *= i % 3 == 0 ? 50.0f : 3.0f;
    of.beta[i] *= i % 4 == 0 ? 50.0f : 3.0f;
  }
  const auto results = of.run(device, {all_of(of.rows)});
  for (std::size_t i = 0; i < of.decay.size(); ++i) {
    const double x = double{of.decay[i]} + of.dt_bias[i % 9];
    const double g = -std::exp(double{of.a_log[i % 9]}) *
                     (x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)));
    ASSERT_NEAR(results.decay[i], std::exp(g), 1e-6 * std::exp(g) * (1 - g) + 1e-30) << x;
    const double beta = 1 / (1 + std::exp(-double{of.beta[i]}));
    ASSERT_NEAR(results.beta[i], beta, 1e-6 * beta + 1e-30) << of.beta[i];
  }
}

TEST_P(DeviceDelta, NanReachesOnlyWhatFollowsInItsSequence) {
  auto device = this->device();
  Delta of = make({1, 2, 8, 8}, {6, 5});
  const auto clean = of.run(device, {all_of(of.rows)}).out;
  of.v[3 * of.values() + 2] = NAN;  // head 0
  const auto out = of.run(device, {all_of(of.rows)}).out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t row = i / of.values(), column = i % of.values();
    const bool follows = row >= 3 && row < 6 && column == 2;
    ASSERT_EQ(std::isnan(out[i]), follows) << row << " " << column;
    ASSERT_TRUE(follows || out[i] == clean[i]) << row << " " << column;
  }
}

TEST_P(DeviceDelta, RefusesHeadsThatItCannotDo) {
  auto device = this->device();
  const auto x = device.put(std::vector<float>(64));
  const auto run = [&](const DeltaShape& shape) {
    return [&device, &x, shape] {
      device->delta_rule({x.get(), x.get(), x.get(), x.get(), x.get(), x.get()}, shape, x.get());
    };
  };
  EXPECT_THAT(run({2, 3, 4, 4}),
              testing::ThrowsMessage<Error>(testing::HasSubstr("3 value heads over 2 key heads")));
  EXPECT_THAT(run({1, 1, 257, 4}),
              testing::ThrowsMessage<Error>(testing::HasSubstr("keys of 257 elements")));
}

}  // namespace
}  // namespace initrt::test
