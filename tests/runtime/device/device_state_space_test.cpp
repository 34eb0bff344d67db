// Mamba 2's state space on every device: against the plain recurrence in double, and bit for bit
// against itself in whatever chunks and company rows come. States hold NaN where nothing has been
// stored.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/sequences.h"

namespace initrt::test {
namespace {

struct StateSpace {
  StateSpaceShape shape;
  std::vector<RowInfo> rows;
  std::vector<float> x, b, c, step, a_log, dt_bias, d;

  [[nodiscard]] std::size_t inner() const { return std::size_t{shape.heads} * shape.head_size; }
  [[nodiscard]] std::size_t of_groups() const {
    return std::size_t{shape.groups} * shape.state_size;
  }

  struct Results {
    std::vector<float> out, step, decay;
  };
  /// @param in_place where results take the place of x
  [[nodiscard]] Results run(OnDevice& device, const std::vector<Order>& calls,
                            bool in_place = false) const {
    const std::size_t heads = shape.heads;
    StateSpaceShape there = shape;
    const BlocksOfRows a(device, floats(a_log), 4, 2), dt(device, floats(dt_bias), 4, 1);
    const BlocksOfRows skip(device, floats(d), 4, 3);
    there.a_log = a.blocks;
    there.dt_bias = dt.blocks;
    there.d = skip.blocks;
    const auto states = device.put(nans((rows.size() + 2) * inner() * shape.state_size));
    Results results{std::vector<float>(x.size()), step, step};
    for (const Order& call : calls) {
      set_rows(device, rows, call);
      const auto some_x = device.put(pick(x, call, inner()));
      const auto some_b = device.put(pick(b, call, of_groups()));
      const auto some_c = device.put(pick(c, call, of_groups()));
      const auto some_step = device.put(pick(step, call, heads));
      const auto decay = device.put(nans(call.size() * heads));
      const auto out = device.put(std::vector<float>(call.size() * inner()));
      device->state_space({some_x.get(), some_b.get(), some_c.get(), some_step.get(), decay.get(),
                           in_place ? some_x.get() : out.get()},
                          there, states.get());
      put_back(results.out, call, inner(), device.get(in_place ? some_x : out));
      put_back(results.step, call, heads, device.get(some_step));
      put_back(results.decay, call, heads, device.get(decay));
    }
    return results;
  }

  [[nodiscard]] double step_of(std::size_t row, std::size_t head) const {
    const double z = double{step[row * shape.heads + head]} + dt_bias[head];
    return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z));
  }
  [[nodiscard]] double decay_of(std::size_t row, std::size_t head) const {
    return std::exp(-std::exp(double{a_log[head]}) * step_of(row, head));
  }

  struct Expected {
    double sum = 0, magnitudes = 0;  ///< of what is added up, and of its magnitudes
  };
  /// All rows, in double.
  [[nodiscard]] std::vector<Expected> expected() const {
    std::vector<Expected> out(x.size());
    for (std::size_t head = 0; head < shape.heads; ++head) {
      std::vector<double> state;
      for (std::size_t row = 0; row < rows.size(); ++row) {
        if (rows[row].position == 0) {
          state.assign(std::size_t{shape.state_size} * shape.head_size, 0);
        }
        advance(row, head, state, out.data() + row * inner() + head * shape.head_size);
      }
    }
    return out;
  }

 private:
  void advance(std::size_t row, std::size_t head, std::vector<double>& state, Expected* out) const {
    const std::size_t group =
        row * of_groups() + head / (shape.heads / shape.groups) * shape.state_size;
    for (std::size_t j = 0; j < shape.head_size; ++j) {
      const double value = x[row * inner() + head * shape.head_size + j];
      const auto add = [&](double term) {
        out[j].sum += term;
        out[j].magnitudes += std::abs(term);
      };
      add(d[head] * value);
      for (std::size_t i = 0; i < shape.state_size; ++i) {
        double& s = state[i * shape.head_size + j];
        s = decay_of(row, head) * s + step_of(row, head) * value * b[group + i];
        add(s * c[group + i]);
      }
    }
  }
};

class DeviceStateSpace : public DeviceTest {
 protected:
  StateSpace make(const StateSpaceShape& shape, const std::vector<std::uint32_t>& lengths) {
    StateSpace of{shape, rows_of(lengths), {}, {}, {}, {}, {}, {}, {}};
    const std::size_t rows = of.rows.size(), heads = shape.heads;
    of.x = random(rows * of.inner());
    of.b = random(rows * of.of_groups());
    of.c = random(rows * of.of_groups());
    of.step = random(rows * heads);
    of.a_log = random(heads);
    for (float& a : of.a_log) a -= 2;  // states outlast some rows
    of.dt_bias = random(heads);
    of.d = random(heads);
    return of;
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceStateSpace, testing::ValuesIn(all_devices()), device_name);

// Heads that fill blocks of values, several of them, parts of one, and both.
TEST_P(DeviceStateSpace, AgreesWithTheRecurrenceInDouble) {
  auto device = this->device();
  for (const StateSpaceShape& shape :
       {StateSpaceShape{1, 1, 4, 4}, StateSpaceShape{2, 4, 16, 20}, StateSpaceShape{1, 3, 128, 64},
        StateSpaceShape{2, 2, 256, 80}, StateSpaceShape{3, 6, 7, 1}, StateSpaceShape{1, 2, 9, 32},
        StateSpaceShape{1, 1, 6, 130}}) {
    const StateSpace of = make(shape, {1, 20, 4});
    const auto out = of.run(device, {all_of(of.rows)}).out;
    const auto expected = of.expected();
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], expected[i].sum, 2e-6 * expected[i].magnitudes)
          << "row " << i / of.inner() << ", states of " << shape.state_size << ", "
          << i % of.inner();
    }
  }
}

TEST_P(DeviceStateSpace, ChunksAndCompanyDoNotChangeABit) {
  auto one = device(1), three = device(3);
  const StateSpace of = make({2, 4, 24, 80}, {7, 1, 12});
  const auto whole = of.run(one, {all_of(of.rows)}).out;
  EXPECT_TRUE(same_bits(of.run(three, {all_of(of.rows)}).out, whole));
  EXPECT_TRUE(same_bits(of.run(one, {all_of(of.rows)}, true).out, whole)) << "in place";
  for (const std::uint32_t chunk : {1, 2, 5}) {
    EXPECT_TRUE(same_bits(of.run(one, in_turns(of.rows, chunk)).out, whole)) << chunk;
  }
}

TEST_P(DeviceStateSpace, StepsAgreeWithDoubleHoweverLarge) {
  auto device = this->device();
  StateSpace of = make({1, 9, 4, 4}, {40});
  for (std::size_t i = 0; i < of.step.size(); ++i) of.step[i] *= i % 3 == 0 ? 50.0f : 3.0f;
  const auto results = of.run(device, {all_of(of.rows)});
  for (std::size_t i = 0; i < of.step.size(); ++i) {
    const double step = of.step_of(i / 9, i % 9), decay = of.decay_of(i / 9, i % 9);
    // Of what float32 rounds before a power is taken of it.
    const double rounding = 1e-6 * (1 + 0.1 * std::abs(of.step[i]));
    ASSERT_NEAR(results.step[i], step, rounding * step + 1e-30) << of.step[i];
    ASSERT_NEAR(results.decay[i], decay, rounding * decay * (1 - std::log(decay + 1e-300)) + 1e-30)
        << of.step[i];
  }
}

TEST_P(DeviceStateSpace, NanReachesOnlyWhatFollowsInItsSequence) {
  auto device = this->device();
  StateSpace of = make({1, 2, 8, 8}, {6, 5});
  const auto clean = of.run(device, {all_of(of.rows)}).out;
  of.x[3 * of.inner() + 2] = NAN;  // head 0
  const auto out = of.run(device, {all_of(of.rows)}).out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t row = i / of.inner(), column = i % of.inner();
    const bool follows = row >= 3 && row < 6 && column == 2;
    ASSERT_EQ(std::isnan(out[i]), follows) << row << " " << column;
    ASSERT_TRUE(follows || out[i] == clean[i]) << row << " " << column;
  }
}

TEST_P(DeviceStateSpace, RefusesHeadsThatItCannotDo) {
  auto device = this->device();
  const auto x = device.put(std::vector<float>(64));
  const auto run = [&](const StateSpaceShape& shape) {
    return [&device, &x, shape] {
      device->state_space({x.get(), x.get(), x.get(), x.get(), x.get(), x.get()}, shape, x.get());
    };
  };
  EXPECT_THAT(run({2, 3, 4, 4}),
              testing::ThrowsMessage<Error>(testing::HasSubstr("3 heads in 2 groups")));
  EXPECT_THAT(run({1, 1, 257, 4}),
              testing::ThrowsMessage<Error>(testing::HasSubstr("states of 257 elements")));
}

}  // namespace
}  // namespace initrt::test
