// Kernels that go by rows: those that no op is by itself, and where their bits are the CPU
// device's.
#include <algorithm>

#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

class CudaRows : public CudaKernels {
 protected:
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

class CudaRoute : public CudaRows {
 protected:
  void expect_as_on_cpu(const std::vector<float>& scores, std::uint32_t experts,
                        std::uint32_t chosen) {
    for (const bool normalize : {false, true}) {
      expect_as_on_cpu(scores, {.experts = experts, .chosen = chosen, .normalize = normalize}, {});
    }
  }
  void expect_as_on_cpu(const std::vector<float>& scores, const Routing& routing,
                        const std::vector<float>& correction) {
    const std::uint32_t chosen = routing.chosen;
    const std::size_t rows = scores.size() / routing.experts;
    std::vector<ExpertChoice> expected(rows * chosen);
    const Guarded scores_there(scores), correction_there(correction);
    const Guarded out{std::vector<ExpertChoice>(rows * chosen)};
    const auto blocks = [&](const float* at) {  // of three ranks
      const std::uint64_t block = (routing.experts + 2) / 3;
      return correction.empty()
                 ? RowBlocks()
                 : RowBlocks(reinterpret_cast<const std::byte*>(at), block, block * sizeof(float));
    };
    cpu_->route(scores.data(), rows, routing, {blocks(correction.data())}, expected);
    cuda::route(nullptr, scores_there.get(), rows, routing, {blocks(correction_there.get())},
                out.get());
    const auto choices = out.read();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      ASSERT_EQ(choices[i].expert, expected[i].expert) << "row " << i / chosen;
      ASSERT_TRUE(same_numbers({choices[i].weight}, {expected[i].weight})) << "row " << i / chosen;
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

TEST_F(CudaRoute, ScoresCorrectionsAndGroupsHaveTheBitsOfTheCpuDevice) {
  if (best_instruction_set() == InstructionSet::Portable) GTEST_SKIP() << kNotFused;
  for (const RouteScore score : {RouteScore::Softmax, RouteScore::Sigmoid}) {
    for (const bool corrected : {false, true}) {
      for (const std::uint32_t groups : {1u, 4u, 64u}) {
        const Routing routing{.experts = 64,
                              .chosen = 8,
                              .score = score,
                              .normalize = corrected,
                              .scale = 2.5f,
                              .groups = groups,
                              .kept_groups = (groups + 1) / 2};
        const auto correction = corrected ? random(64) : std::vector<float>();
        expect_as_on_cpu(random(9 * 64, 4.0f), routing, correction);
        expect_as_on_cpu(tied_scores(64), routing, correction);
      }
    }
  }
}

TEST_F(CudaRoute, OfEqualScoresTheFirstAndNanLast) {
  if (best_instruction_set() == InstructionSet::Portable) GTEST_SKIP() << kNotFused;
  const std::uint32_t experts = 70;
  const std::vector<float> scores = tied_scores(experts);
  expect_as_on_cpu(scores, experts, 6);
  expect_as_on_cpu(scores, experts, experts);
}

}  // namespace
}  // namespace initrt::test
