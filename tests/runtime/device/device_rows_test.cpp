// Ops of every device that go by rows: positions, KV, rows taken, kept and added, and the experts
// that rows choose.
#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "sharding/error.h"
#include "tests/runtime/device/devices.h"

namespace initrt::test {
namespace {

class DeviceRows : public DeviceTest {
 protected:
  /// `count` of `rows` rows, ascending.
  std::vector<std::uint32_t> some_rows(std::size_t rows, std::size_t count) {
    std::vector<std::uint32_t> all(rows);
    std::iota(all.begin(), all.end(), 0u);
    while (all.size() > count) {
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(below(all.size())));
    }
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceRows, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceRows, PositionsAreAddedFromTheTable) {
  auto device = this->device();
  for (const DType dtype : dtypes) {
    for (const std::size_t columns : {1, 37, 768}) {
      const std::size_t positions = 50;
      auto values = random(positions * columns);
      const auto bytes = stored(values, dtype);
      const auto table = device.put(bytes);
      const BlocksOfRows apart(device, bytes, bytes_of(dtype, columns), 7);
      std::vector<RowInfo> rows;
      for (int i = 0; i < 20; ++i) {
        rows.push_back({0, static_cast<std::uint32_t>(below(positions))});
      }
      auto expected = random(rows.size() * columns);
      const auto into = device.put(expected), into_from_blocks = device.put(expected);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += values[rows[i / columns].position * columns + i % columns];
      }
      device->set_rows(rows, {});
      device->add_positions(table.get(), dtype, into.get(), columns);
      device->add_positions(apart.blocks, dtype, into_from_blocks.get(), columns);
      EXPECT_TRUE(same_bits(device.get(into), expected)) << name(dtype) << " " << columns;
      EXPECT_TRUE(same_bits(device.get(into_from_blocks), expected))
          << name(dtype) << ", in blocks";
    }
  }
}

TEST_P(DeviceRows, KvGoesToItsPlaceAndNowhereElse) {
  auto device = this->device();
  for (const DType dtype : dtypes) {
    for (const std::uint32_t head_size : {64u, 20u, 7u}) {
      const std::uint32_t kv_heads = 3, sequences = 2, context = 9;
      const std::vector<RowInfo> rows = {{1, 8, 0}, {0, 0, 0}, {1, 3, 0}, {0, 5, 0}};
      const std::size_t line = kv_heads * head_size;
      auto k = random(rows.size() * line), v = random(rows.size() * line);
      const auto k_there = device.put(k), v_there = device.put(v);
      const std::size_t element = bytes_of(dtype, 1);
      std::vector<std::byte> k_expected(sequences * context * line * element, std::byte{0x5a});
      auto v_expected = k_expected;
      const auto k_cache = device.put(k_expected), v_cache = device.put(v_expected);
      device->set_rows(rows, {});
      device->store_kv(k_there.get(), v_there.get(), {kv_heads, kv_heads, head_size},
                       {k_cache.get(), v_cache.get(), dtype, context});
      const auto k_bytes = stored(k, dtype), v_bytes = stored(v, dtype);
      for (std::size_t i = 0; i < k.size(); ++i) {
        const RowInfo& row = rows[i / line];
        const std::size_t head = i % line / head_size;
        const std::size_t to =
            ((row.sequence * kv_heads + head) * context + row.position) * head_size + i % head_size;
        std::memcpy(k_expected.data() + to * element, k_bytes.data() + i * element, element);
        std::memcpy(v_expected.data() + to * element, v_bytes.data() + i * element, element);
      }
      EXPECT_EQ(device.get(k_cache), k_expected) << name(dtype) << " " << head_size;
      EXPECT_EQ(device.get(v_cache), v_expected) << name(dtype) << " " << head_size;
    }
  }
}

TEST_P(DeviceRows, TakenAndKeptRowsMoveToTheFront) {
  auto device = this->device();
  for (const std::size_t columns : {1, 5, 21, 64, 1100}) {
    for (const std::size_t count : {1, 4, 9, 30}) {
      const auto in = random(30 * columns);
      const auto rows = some_rows(30, count);
      const auto in_there = device.put(in), kept = device.put(in);
      const auto out = device.put(std::vector<float>(count * columns));
      auto expected = in;
      for (std::size_t i = 0; i < count * columns; ++i) {
        expected[i] = in[rows[i / columns] * columns + i % columns];
      }
      device->take_rows(in_there.get(), rows, {}, columns, out.get());
      device->set_rows({}, rows);
      device->keep_rows(kept.get(), columns);
      EXPECT_TRUE(same_bits(device.get(out), part(expected, 0, count * columns))) << columns;
      EXPECT_TRUE(same_bits(device.get(kept), expected)) << columns << ", kept";
      EXPECT_TRUE(same_bits(device.get(in_there), in)) << columns << ", taken from";
      const auto weights = random(count);
      for (std::size_t i = 0; i < count * columns; ++i) {
        expected[i] = in[rows[i / columns] * columns + i % columns] * weights[i / columns];
      }
      device->take_rows(in_there.get(), rows, weights, columns, out.get());
      EXPECT_TRUE(same_bits(device.get(out), part(expected, 0, count * columns))) << columns;
    }
  }
}

TEST_P(DeviceRows, AddedRowsAreWeightedAndLeaveTheOthers) {
  auto device = this->device();
  for (const std::size_t columns : {1, 5, 64, 130, 1100}) {
    const std::size_t count = 7;
    const auto x = random(count * columns), weights = random(count);
    const auto rows = some_rows(12, count);
    auto expected = random(12 * columns);
    const auto x_there = device.put(x), into = device.put(expected);
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected[rows[i / columns] * columns + i % columns] += x[i] * weights[i / columns];
    }
    device->add_rows(x_there.get(), rows, weights, columns, into.get());
    EXPECT_TRUE(same_bits(device.get(into), expected)) << columns;
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected[rows[i / columns] * columns + i % columns] += x[i];
    }
    device->add_rows(x_there.get(), rows, {}, columns, into.get());
    EXPECT_TRUE(same_bits(device.get(into), expected)) << columns << ", all weights 1";
  }
}

class DeviceRoute : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceRoute, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceRoute, ChoosesTheLargestProbabilities) {
  auto one = device(1), two = device(2);
  struct Case {
    std::uint32_t experts, chosen;
  };
  for (const auto& [experts, chosen] : {Case{1, 1}, Case{8, 2}, Case{8, 4}, Case{33, 33},
                                        Case{130, 4}, Case{256, 8}, Case{1024, 64}}) {
    const std::uint32_t rows = 33;
    const auto scores = random(rows * experts, 3.0f);
    std::vector<ExpertChoice> plain(rows * chosen), normalized(rows * chosen);
    const auto scores_of_one = one.put(scores), scores_of_two = two.put(scores);
    const Routing routing{.experts = experts, .chosen = chosen};
    Routing normalizing = routing;
    normalizing.normalize = true;
    two->route(scores_of_two.get(), rows, routing, {}, plain);
    one->route(scores_of_one.get(), rows, normalizing, {}, normalized);
    for (std::uint32_t r = 0; r < rows; ++r) {
      const float* row = scores.data() + r * experts;
      std::vector<std::uint32_t> order(experts);
      std::iota(order.begin(), order.end(), 0u);
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return row[a] > row[b]; });
      double sum = 0, chosen_sum = 0;
      for (std::uint32_t e = 0; e < experts; ++e) sum += std::exp(static_cast<double>(row[e]));
      for (std::uint32_t i = 0; i < chosen; ++i) {
        chosen_sum += std::exp(double{row[order[i]]}) / sum;
      }
      for (std::uint32_t i = 0; i < chosen; ++i) {
        const double weight = std::exp(static_cast<double>(row[order[i]])) / sum;
        const double tolerance = experts > 200 ? experts * 0x1p-24 : 1e-6;
        ASSERT_EQ(plain[r * chosen + i].expert, order[i]);
        ASSERT_NEAR(plain[r * chosen + i].weight, weight, tolerance);
        ASSERT_EQ(normalized[r * chosen + i].expert, order[i]);
        ASSERT_NEAR(normalized[r * chosen + i].weight, weight / chosen_sum, tolerance);
      }
    }
  }
}

// In double, of the groups whose two best scores have the largest sum.
TEST_P(DeviceRoute, CorrectsTheChoiceAndNotTheWeightsAndChoosesFromTheBestGroups) {
  auto device = this->device(2);
  const std::uint32_t experts = 24, rows = 17, groups = 6, size = experts / groups;
  const Routing routing{.experts = experts,
                        .chosen = 5,
                        .score = RouteScore::Sigmoid,
                        .normalize = true,
                        .scale = 2.5f,
                        .groups = groups,
                        .kept_groups = 3};
  const auto scores = random(rows * experts, 3.0f), correction = random(experts);
  const auto scores_there = device.put(scores), correction_there = device.put(correction);
  std::vector<ExpertChoice> out(rows * routing.chosen);
  const auto* const dense = reinterpret_cast<const std::byte*>(correction_there.get());
  device->route(scores_there.get(), rows, routing, {dense}, out);
  for (std::uint32_t r = 0; r < rows; ++r) {
    std::vector<double> weights, ranks;
    for (std::uint32_t e = 0; e < experts; ++e) {
      weights.push_back(1 / (1 + std::exp(-double{scores[r * experts + e]})));
      ranks.push_back(weights.back() + correction[e]);
    }
    std::vector<std::pair<double, std::uint32_t>> sums;
    for (std::uint32_t g = 0; g < groups; ++g) {
      std::vector<double> of_group(ranks.begin() + g * size, ranks.begin() + (g + 1) * size);
      std::sort(of_group.rbegin(), of_group.rend());
      sums.emplace_back(of_group[0] + of_group[1], g);
    }
    std::sort(sums.rbegin(), sums.rend());
    std::vector<std::pair<double, std::uint32_t>> order;
    for (std::uint32_t i = 0; i < routing.kept_groups; ++i) {
      for (std::uint32_t e = 0; e < size; ++e) {
        const std::uint32_t expert = sums[i].second * size + e;
        order.emplace_back(ranks[expert], expert);
      }
    }
    std::sort(order.rbegin(), order.rend());
    double sum = 0;
    for (std::uint32_t i = 0; i < routing.chosen; ++i) sum += weights[order[i].second];
    for (std::uint32_t i = 0; i < routing.chosen; ++i) {
      const ExpertChoice& choice = out[r * routing.chosen + i];
      ASSERT_EQ(choice.expert, order[i].second) << "row " << r;
      ASSERT_NEAR(choice.weight, weights[choice.expert] / sum * routing.scale, 1e-6);
    }
  }
}

TEST_P(DeviceRoute, FactorsOfExpertsAreMultipliedWithWeightsAfterAllElse) {
  auto device = this->device(2);
  const std::uint32_t rows = 9;
  const Routing routing{.experts = 12, .chosen = 3, .normalize = true, .scale = 1.5f};
  const auto scores = random(rows * routing.experts, 3.0f), factors = random(routing.experts);
  const auto scores_there = device.put(scores), factors_there = device.put(factors);
  std::vector<ExpertChoice> plain(rows * routing.chosen), out(plain.size());
  device->route(scores_there.get(), rows, routing, {}, plain);
  const RouteVectors vectors{.factors = reinterpret_cast<const std::byte*>(factors_there.get())};
  device->route(scores_there.get(), rows, routing, vectors, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].expert, plain[i].expert);
    EXPECT_EQ(out[i].weight, plain[i].weight * factors[plain[i].expert]);
  }
}

TEST_P(DeviceRoute, ChoosesTheFirstOfEqualScoresAndNanLast) {
  auto device = this->device(1);
  const std::vector<float> few = {1, 2, 2, 1, NAN, 0, NAN, -1};
  const auto few_there = device.put(few);
  std::vector<ExpertChoice> out(4);
  device->route(few_there.get(), 2, {.experts = 4, .chosen = 2}, {}, out);
  EXPECT_EQ(out[0].expert, 1u);
  EXPECT_EQ(out[1].expert, 2u);
  EXPECT_EQ(out[2].expert, 1u);
  EXPECT_EQ(out[3].expert, 3u);

  const std::uint32_t experts = 70;
  const std::vector<float> scores = tied_scores(experts);
  const auto there = device.put(scores);
  for (const std::uint32_t chosen : {6u, 64u}) {
    std::vector<ExpertChoice> choices(4 * chosen);
    device->route(there.get(), 4, {.experts = experts, .chosen = chosen, .normalize = true}, {},
                  choices);
    for (std::uint32_t r = 0; r < 4; ++r) {
      const float* row = scores.data() + r * experts;
      std::vector<std::uint32_t> order(experts);
      std::iota(order.begin(), order.end(), 0u);
      const auto above = [&](std::uint32_t a, std::uint32_t b) {
        return std::isnan(row[b]) ? !std::isnan(row[a]) : row[a] > row[b];
      };
      std::stable_sort(order.begin(), order.end(), above);
      for (std::uint32_t i = 0; i < chosen; ++i) {
        ASSERT_EQ(choices[r * chosen + i].expert, order[i]) << "row " << r;
      }
    }
  }
}

TEST_P(DeviceRoute, OfMoreExpertsThanThereAreIsAnError) {
  auto device = this->device(1);
  const auto scores = device.put(std::vector<float>(4));
  std::vector<ExpertChoice> out(5);
  EXPECT_THAT([&] { device->route(scores.get(), 1, {.experts = 4, .chosen = 5}, {}, out); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("5 of 4 experts")));
  const Routing few{.experts = 4, .chosen = 3, .groups = 2, .kept_groups = 1};
  EXPECT_THAT([&] { device->route(scores.get(), 1, few, {}, out); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("3 of 2 experts")));
  const Routing uneven{.experts = 4, .chosen = 1, .groups = 3};
  EXPECT_THAT([&] { device->route(scores.get(), 1, uneven, {}, out); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("groups of 4 experts")));
}

}  // namespace
}  // namespace initrt::test
