// Kernels that go by rows: against the CPU device, or element by element.
#include <algorithm>
#include <numeric>

#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

class CudaRows : public CudaKernels {
 protected:
  /// `count` of `rows` rows, ascending.
  std::vector<std::uint32_t> some_rows(std::size_t rows, std::size_t count) {
    std::vector<std::uint32_t> all(rows);
    std::iota(all.begin(), all.end(), 0u);
    while (all.size() > count)
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(below(all.size())));
    return all;
  }

  std::unique_ptr<Device> cpu_ = make_cpu_device(best_instruction_set(), 1);
};

TEST_F(CudaRows, BiasIsAddedToEachRowAlone) {
  for (const DType dtype : dtypes) {
    for (const std::size_t columns : {1, 8, 37, 1500}) {
      for (const std::size_t stride : {columns, columns + 1, columns + 4}) {
        const std::size_t rows = 5;
        auto bias = random(columns);
        const Guarded bytes(stored(bias, dtype));
        auto expected = random(rows * stride);
        const Guarded into(expected);
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t c = 0; c < columns; ++c) expected[r * stride + c] += bias[c];
        }
        cuda::add_bias(nullptr, bytes.get(), dtype, into.get(), rows, columns, stride);
        EXPECT_TRUE(same_bits(into.read(), expected)) << columns << " of " << stride;
      }
    }
  }
}

TEST_F(CudaRows, PositionsAreAddedFromTheTable) {
  for (const DType dtype : dtypes) {
    for (const std::size_t columns : {1, 37, 768}) {
      const std::size_t positions = 50;
      auto values = random(positions * columns);
      const Guarded table(stored(values, dtype));
      std::vector<RowInfo> rows;
      for (int i = 0; i < 20; ++i)
        rows.push_back({0, static_cast<std::uint32_t>(below(positions))});
      auto expected = random(rows.size() * columns);
      const Guarded infos(rows);
      const Guarded into(expected);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += values[rows[i / columns].position * columns + i % columns];
      }
      cuda::add_positions(nullptr, table.get(), dtype, infos.get(), rows.size(), into.get(),
                          columns);
      EXPECT_TRUE(same_bits(into.read(), expected)) << columns;
    }
  }
}

TEST_F(CudaRows, RotaryHasTheBitsOfTheCpuDevice) {
  struct Case {
    std::uint32_t heads, head_size, dimensions;
  };
  for (const auto [heads, head_size, dimensions] :
       {Case{3, 64, 64}, Case{2, 80, 32}, Case{5, 6, 6}, Case{2, 10, 4}, Case{1, 2, 2}}) {
    const std::size_t rows = 7;
    const auto table = random(rows * dimensions);
    auto expected = random(rows * heads * head_size);
    const Guarded x(expected);
    const Guarded angles(table);
    cpu_->rotary(expected.data(), rows, heads, head_size, dimensions, table.data());
    cuda::rotary(nullptr, x.get(), rows, heads, head_size, dimensions, angles.get());
    EXPECT_TRUE(same_bits(x.read(), expected)) << heads << " heads of " << head_size;
  }
}

TEST_F(CudaRows, KvGoesToItsPlaceAndNowhereElse) {
  for (const DType dtype : dtypes) {
    for (const std::uint32_t head_size : {64u, 20u, 7u}) {
      const std::uint32_t kv_heads = 3, sequences = 2, context = 9;
      const std::vector<RowInfo> rows = {{1, 8, 0}, {0, 0, 0}, {1, 3, 0}, {0, 5, 0}};
      const std::size_t line = kv_heads * head_size;
      auto k = random(rows.size() * line), v = random(rows.size() * line);
      const Guarded k_there(k);
      const Guarded v_there(v);
      const Guarded infos(rows);
      const std::size_t element = bytes_of(dtype, 1);
      std::vector<std::byte> k_expected(sequences * context * line * element, std::byte{0x5a});
      auto v_expected = k_expected;
      const Guarded k_cache(k_expected);
      const Guarded v_cache(v_expected);
      cuda::store_kv(nullptr, k_there.get(), v_there.get(), infos.get(), rows.size(),
                     {kv_heads, kv_heads, head_size},
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
      EXPECT_EQ(k_cache.read(), k_expected) << name(dtype) << " " << head_size;
      EXPECT_EQ(v_cache.read(), v_expected) << name(dtype) << " " << head_size;
    }
  }
}

TEST_F(CudaRows, RowsAreTakenInPlaceToo) {
  for (const std::size_t columns : {1, 5, 64, 1100}) {
    for (const std::size_t count : {1, 4, 9, 30}) {
      const std::size_t rows = 30;
      const auto in = random(rows * columns);
      const auto numbers = some_rows(rows, count);
      const Guarded in_there(in);
      const Guarded numbers_there(numbers);
      const Guarded out{std::vector<float>(count * columns)};
      std::vector<float> expected = in;
      for (std::size_t i = 0; i < count * columns; ++i) {
        expected[i] = in[numbers[i / columns] * columns + i % columns];
      }
      cuda::take_rows(nullptr, in_there.get(), numbers_there.get(), count, columns, out.get());
      EXPECT_TRUE(same_bits(out.read(), part(expected, 0, count * columns))) << columns;
      cuda::take_rows(nullptr, in_there.get(), numbers_there.get(), count, columns, in_there.get());
      EXPECT_TRUE(same_bits(in_there.read(), expected)) << columns << " in place";
    }
  }
}

TEST_F(CudaRows, WeightedRowsHaveTheBitsOfTheCpuDevice) {
  for (const std::size_t columns : {1, 5, 64, 1100}) {
    const std::size_t rows = 12, count = 7;
    const auto x = random(count * columns), weights = random(count);
    const auto numbers = some_rows(rows, count);
    auto expected = random(rows * columns);
    const Guarded into(expected);
    const Guarded x_there(x);
    const Guarded weights_there(weights);
    const Guarded numbers_there(numbers);
    cpu_->add_rows(x.data(), numbers, weights, columns, expected.data());
    cuda::add_rows(nullptr, x_there.get(), numbers_there.get(), weights_there.get(), count, columns,
                   into.get());
    EXPECT_TRUE(same_bits(into.read(), expected)) << columns;
  }
}

TEST_F(CudaRows, PiecesOfAnyLengthAndAlignmentAreCopied) {
  for (int round = 0; round < 20; ++round) {
    const std::size_t longest = round % 2 == 0 ? 40 : 40000, count = 1 + below(12);
    const auto in = random_bytes(count * (longest + 20));
    std::vector<std::byte> expected(in.size(), std::byte{0x5a});
    const Guarded from(in);
    const Guarded to(expected);
    std::vector<CopyPiece> pieces;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t begin = i * (longest + 20);
      const std::size_t source = begin + below(16), destination = begin + below(16);
      const std::size_t bytes = below(longest + 1);
      pieces.push_back({from.get() + source, to.get() + destination, bytes});
      std::copy_n(in.data() + source, bytes, expected.data() + destination);
    }
    const Guarded pieces_there(pieces);
    cuda::copy(nullptr, pieces_there.get(), count, longest);
    EXPECT_EQ(to.read(), expected);
  }
}

class CudaRoute : public CudaRows {
 protected:
  void expect_as_on_cpu(const std::vector<float>& scores, std::uint32_t experts,
                        std::uint32_t chosen) {
    for (const bool normalize : {false, true}) {
      const std::size_t rows = scores.size() / experts;
      std::vector<ExpertChoice> expected(rows * chosen);
      cpu_->route(scores.data(), rows, experts, chosen, normalize, expected);
      const Guarded scores_there(scores);
      const Guarded out{std::vector<ExpertChoice>(rows * chosen)};
      cuda::route(nullptr, scores_there.get(), rows, experts, chosen, normalize, out.get());
      const auto choices = out.read();
      for (std::size_t i = 0; i < choices.size(); ++i) {
        ASSERT_EQ(choices[i].expert, expected[i].expert) << "row " << i / chosen;
        ASSERT_TRUE(same_numbers({choices[i].weight}, {expected[i].weight}))
            << "row " << i / chosen;
      }
    }
  }
};

TEST_F(CudaRoute, ChoicesHaveTheBitsOfTheCpuDevice) {
  if (best_instruction_set() == InstructionSet::Portable) GTEST_SKIP() << kNotFused;
  struct Case {
    std::uint32_t experts, chosen;
  };
  for (const auto [experts, chosen] :
       {Case{1, 1}, Case{8, 2}, Case{33, 33}, Case{60, 4}, Case{256, 8}, Case{1024, 64}}) {
    expect_as_on_cpu(random(9 * experts, 4.0f), experts, chosen);
  }
}

TEST_F(CudaRoute, OfEqualScoresTheFirstAndNanLast) {
  if (best_instruction_set() == InstructionSet::Portable) GTEST_SKIP() << kNotFused;
  const std::uint32_t experts = 70;
  std::vector<float> scores(4 * experts);
  for (float& score : scores) score = static_cast<float>(below(3));
  for (std::size_t i = experts; i < 2 * experts; i += 3) scores[i] = NAN;
  std::fill_n(scores.begin() + 2 * experts, experts, NAN);
  std::fill_n(scores.begin() + 3 * experts, experts, -INFINITY);
  expect_as_on_cpu(scores, experts, 6);
  expect_as_on_cpu(scores, experts, experts);
}

}  // namespace
}  // namespace initrt::test
