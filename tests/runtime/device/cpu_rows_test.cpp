// What works on some rows: positions, and the experts that rows choose.
#include <gmock/gmock.h>

#include <algorithm>

#include "sharding/error.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

class CpuRows : public CpuTest {};

TEST_P(CpuRows, PositionsAreAddedFromTheTable) {
  const std::size_t columns = 37, positions = 50;
  for (const DType dtype : dtypes) {
    auto values = random(positions * columns);
    const auto table = stored(values, dtype);
    std::vector<RowInfo> rows;
    for (int i = 0; i < 20; ++i) rows.push_back({0, static_cast<std::uint32_t>(below(positions))});
    const auto before = random(rows.size() * columns);
    auto into = before;
    const auto cpu = device(2);
    cpu->set_rows(rows, {});
    cpu->add_positions(table.data(), dtype, into.data(), columns);
    for (std::size_t i = 0; i < into.size(); ++i) {
      const std::size_t at = rows[i / columns].position * columns + i % columns;
      ASSERT_EQ(into[i], before[i] + values[at]);
    }
  }
}

TEST_P(CpuRows, TakenAndKeptRowsMoveToTheFront) {
  const std::size_t columns = 21;
  const auto in = random(9 * columns);
  const std::vector<std::uint32_t> rows = {0, 3, 4, 8};
  std::vector<float> out(rows.size() * columns), placed = in;
  device(2)->take_rows(in.data(), rows, columns, out.data());
  const auto cpu = device(2);
  cpu->set_rows({}, rows);
  cpu->keep_rows(placed.data(), columns);
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(out[i], in[rows[i / columns] * columns + i % columns]);
    ASSERT_EQ(placed[i], out[i]);
  }
}

TEST_P(CpuRows, AddedRowsAreWeightedAndLeaveTheOthers) {
  const std::size_t columns = 130;
  const std::vector<std::uint32_t> rows = {1, 2, 6};
  const std::vector<float> weights = {0.25f, -3.0f, 0.1f};
  const auto x = random(rows.size() * columns), before = random(8 * columns);
  auto into = before;
  device(2)->add_rows(x.data(), rows, weights, columns, into.data());
  for (std::size_t i = 0; i < into.size(); ++i) {
    const auto row = static_cast<std::uint32_t>(i / columns);
    const auto found = std::find(rows.begin(), rows.end(), row);
    const auto at = static_cast<std::size_t>(found - rows.begin());
    const float product = found == rows.end() ? 0.0f : x[at * columns + i % columns] * weights[at];
    ASSERT_EQ(into[i], before[i] + product);
  }
}

TEST_P(CpuRows, RoutesChooseTheLargestProbabilities) {
  for (const std::uint32_t experts : {1u, 8u, 130u}) {
    const std::uint32_t rows = 33, chosen = std::min(experts, 4u);
    const auto scores = random(rows * experts, 3.0f);
    std::vector<ExpertChoice> plain(rows * chosen), normalized(rows * chosen);
    device(2)->route(scores.data(), rows, experts, chosen, false, plain);
    device(1)->route(scores.data(), rows, experts, chosen, true, normalized);
    for (std::uint32_t r = 0; r < rows; ++r) {
      const float* row = scores.data() + r * experts;
      std::vector<std::uint32_t> order(experts);
      for (std::uint32_t e = 0; e < experts; ++e) order[e] = e;
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return row[a] > row[b]; });
      double sum = 0, chosen_sum = 0;
      for (std::uint32_t e = 0; e < experts; ++e) sum += std::exp(static_cast<double>(row[e]));
      for (std::uint32_t i = 0; i < chosen; ++i)
        chosen_sum += std::exp(double{row[order[i]]}) / sum;
      for (std::uint32_t i = 0; i < chosen; ++i) {
        const double weight = std::exp(static_cast<double>(row[order[i]])) / sum;
        EXPECT_EQ(plain[r * chosen + i].expert, order[i]);
        EXPECT_NEAR(plain[r * chosen + i].weight, weight, 1e-6);
        EXPECT_EQ(normalized[r * chosen + i].expert, order[i]);
        EXPECT_NEAR(normalized[r * chosen + i].weight, weight / chosen_sum, 1e-6);
      }
    }
  }
}

TEST_P(CpuRows, OfEqualScoresTheFirstExpertsAreChosenAndNanIsTheLowest) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> scores = {1, 2, 2, 1, nan, 0, nan, -1};
  std::vector<ExpertChoice> out(4);
  device()->route(scores.data(), 2, 4, 2, false, out);
  EXPECT_EQ(out[0].expert, 1u);
  EXPECT_EQ(out[1].expert, 2u);
  EXPECT_EQ(out[2].expert, 1u);
  EXPECT_EQ(out[3].expert, 3u);
}

TEST_P(CpuRows, MoreExpertsThanThereAreIsAnError) {
  const std::vector<float> scores(4);
  std::vector<ExpertChoice> out(5);
  EXPECT_THAT([&] { device()->route(scores.data(), 1, 4, 5, false, out); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("5 of 4 experts")));
}

INSTANTIATE_TEST_SUITE_P(, CpuRows, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
