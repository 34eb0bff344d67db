// Attention of a GPU over a long context: near the CPU's, and the same bits for a row by itself,
// whose spans many blocks share, and among so many others that none are shared.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/runtime/device/cpu_support.h"
#include "tests/runtime/device/gpu_device.h"

namespace initrt::test {
namespace {

class GpuAttention : public testing::TestWithParam<DType> {
 protected:
  static constexpr std::uint32_t kRows = 160, kContext = 2300;
  static constexpr std::uint64_t kColumns = 8 * 64;  // of queries; a fourth of keys and values
  static constexpr std::uint64_t kCached = std::uint64_t{kContext} * kColumns / 4;

  static AttentionShape shape(std::uint32_t window) { return {8, 2, 64, 0.125f, 0.0f, window}; }

  GpuAttention() {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    const auto values = [&](std::size_t count) {
      std::vector<float> made(count);
      for (float& value : made) value = normal(generator);
      return made;
    };
    queries_ = values(kRows * kColumns);
    auto keys = values(kCached), values_of_keys = values(kCached);
    host_k_ = stored(keys, GetParam());
    host_v_ = stored(values_of_keys, GetParam());
    k_ = gpu_.make(host_k_.size());
    v_ = gpu_.make(host_v_.size());
    gpu_->write(host_k_, k_.data());
    gpu_->write(host_v_, v_.data());
  }

  /// Rows [begin, end) of queries, the last of which is at position kContext - 1.
  std::vector<float> attend(std::uint32_t begin, std::uint32_t end, std::uint32_t window) {
    const std::span<const float> q = part_of(queries_, begin, end);
    gpu_->write(std::as_bytes(q), q_.data());
    gpu_->set_rows(infos(begin, end), {});
    gpu_->attention(q_.floats(), shape(window), {k_.data(), v_.data(), GetParam(), kContext},
                    out_.floats());
    gpu_->read(out_.data(), results_.span().first(q.size_bytes()));
    gpu_->synchronize();
    return {results_.floats(), results_.floats() + q.size()};
  }

  std::vector<float> attend_on_cpu(std::uint32_t window) {
    const auto cpu = make_cpu_device(best_instruction_set(), 1);
    std::vector<float> out(queries_.size());
    cpu->set_rows(infos(0, kRows), {});
    cpu->attention(queries_.data(), shape(window),
                   {host_k_.data(), host_v_.data(), GetParam(), kContext}, out.data());
    return out;
  }

  static std::span<const float> part_of(std::span<const float> rows, std::uint32_t begin,
                                        std::uint32_t end) {
    return rows.subspan(begin * kColumns, (end - begin) * kColumns);
  }

 private:
  static std::vector<RowInfo> infos(std::uint32_t begin, std::uint32_t end) {
    std::vector<RowInfo> made;
    for (std::uint32_t r = begin; r < end; ++r) {
      made.push_back({0, kContext - kRows + r, kContext});
    }
    return made;
  }

  static constexpr std::uint64_t kBytes = kRows * kColumns * sizeof(float);

  GpuDevice gpu_{GetParam(), kRows, kColumns};
  const Buffer results_ = gpu_.make_pinned(kBytes);
  Buffer q_ = gpu_.make(kBytes), out_ = gpu_.make(kBytes), k_, v_;
  std::vector<float> queries_;
  std::vector<std::byte> host_k_, host_v_;
};

TEST_P(GpuAttention, HasTheSameBitsForARowAloneAndAmongMany) {
  for (const std::uint32_t window : {0u, 1100u}) {
    const std::vector<float> all = attend(0, kRows, window);
    const std::vector<float> expected = attend_on_cpu(window);
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_NEAR(all[i], expected[i], 1e-5f) << i;
    // At positions from 2140 on: in the third span of 1024.
    for (const auto& [begin, end] : {std::pair{0u, 1u}, {7u, 8u}, {60u, 63u}, {159u, 160u}}) {
      const auto expected_bits = part_of(all, begin, end);
      EXPECT_TRUE(same_bits(attend(begin, end, window),
                            std::vector<float>(expected_bits.begin(), expected_bits.end())))
          << "rows from " << begin << ", window " << window;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, GpuAttention, testing::ValuesIn(dtypes),
                         [](const auto& dtype) { return std::string(name(dtype.param)); });

}  // namespace
}  // namespace initrt::test
