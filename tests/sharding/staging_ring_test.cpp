#include <gtest/gtest.h>

#include <random>

#include "sharding/reads.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB;

TEST(StagingRing, SpendsTheBudgetOnBlocksOfFourMebibytes) {
  for (const auto& [budget, blocks, block_bytes] : {std::tuple{64 * kMiB, 16u, 4 * kMiB},
                                                    {1024 * kMiB, 16u, 4 * kMiB},
                                                    {63 * kMiB, 15u, 4 * kMiB},
                                                    {16 * kMiB, 4u, 4 * kMiB},
                                                    {8 * kMiB, 4u, 2 * kMiB},
                                                    {64 * kKiB, 2u, 32 * kKiB},
                                                    {100 * kKiB, 3u, 32 * kKiB}}) {
    const StagingRing ring = make_staging_ring(budget);
    EXPECT_EQ(ring.blocks, blocks) << budget;
    EXPECT_EQ(ring.block_bytes, block_bytes) << budget;
  }
}

TEST(StagingRing, NeverPassesTheBudgetAndIsMadeOfPages) {
  std::mt19937_64 rng(1);
  for (int round = 0; round < 20'000; ++round) {
    const std::uint64_t budget = kMinStagingBytes + rng() % (1ull << (17 + rng() % 16));
    const StagingRing ring = make_staging_ring(budget);
    EXPECT_LE(ring.bytes(), budget);
    EXPECT_GE(ring.blocks, 2u) << "reading and converting overlap";
    EXPECT_LE(ring.blocks, 16u);
    EXPECT_EQ(ring.block_bytes % 4096, 0u);
    EXPECT_GE(ring.block_bytes, 32 * kKiB);
    EXPECT_LE(ring.block_bytes, 4 * kMiB);
    const StagingRing again = make_staging_ring(ring.bytes());
    EXPECT_EQ(again.blocks, ring.blocks) << "a shape tells a ring by its bytes";
    EXPECT_EQ(again.block_bytes, ring.block_bytes);
    // Nothing larger than a page per block is left over, unless the ring is at its largest.
    if (ring.bytes() < 64 * kMiB) {
      EXPECT_LT(budget - ring.bytes(),
                std::max<std::uint64_t>(ring.block_bytes, ring.blocks * 4096));
    }
  }
}

TEST(StagingRing, ABudgetBelowTheLeastIsAnErrorWithBothNumbers) {
  EXPECT_EQ(testing::error_of([] { (void)make_staging_ring(65535); }),
            "load.staging is 65535 bytes; the least is 65536");
  EXPECT_EQ(make_staging_ring(kMinStagingBytes).bytes(), kMinStagingBytes);
}

}  // namespace
}  // namespace initrt
