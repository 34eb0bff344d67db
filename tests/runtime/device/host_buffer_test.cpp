// Host memory for tensor payload: zeroed, aligned, in the ledger for as long as it is held.
#include "runtime/device/host_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kHugePage = 2u << 20;

std::uintptr_t address(const HostBuffer& buffer) {
  return reinterpret_cast<std::uintptr_t>(buffer.data());
}

// Whether the kernel knows the page: msync() of memory that is not mapped is ENOMEM.
bool is_mapped(const std::byte* data) {
  auto* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(data) / 4096 * 4096);
  return msync(page, 4096, MS_ASYNC) == 0;
}

class HostBufferOf : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Bytes, HostBufferOf,
                         testing::Values(1, 4095, 4096, 100001, kHugePage - 1, kHugePage,
                                         kHugePage + 1, 3 * kHugePage + 12345));

TEST_P(HostBufferOf, IsZeroedAlignedAndWritableToItsLastByte) {
  Ledger ledger;
  for (int again = 0; again < 3; ++again) {
    HostBuffer buffer(ledger, MemoryCategory::KvCache, GetParam());
    EXPECT_EQ(buffer.bytes(), GetParam());
    EXPECT_EQ(buffer.span().size(), GetParam());
    EXPECT_EQ(address(buffer) % (GetParam() >= kHugePage ? kHugePage : 4096), 0u);
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    EXPECT_TRUE(std::ranges::all_of(buffer.span(), is_zero));
    std::ranges::fill(buffer.span(), std::byte{0xff});
    EXPECT_EQ(ledger.held()[MemoryCategory::KvCache], GetParam());
  }
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST(HostBuffer, OfNoBytesHoldsNothing) {
  Ledger ledger;
  const HostBuffer buffer(ledger, MemoryCategory::Shard, 0);
  EXPECT_EQ(buffer.bytes(), 0u);
  EXPECT_TRUE(buffer.span().empty());
  EXPECT_EQ(ledger.peak(), 0u);
}

TEST(HostBuffer, PartsAreEnteredUnderTheirOwnCategories) {
  Ledger ledger;
  {
    const HostBuffer buffer(ledger,
                            {{MemoryCategory::Shard, 4096}, {MemoryCategory::Resident, 8192}});
    EXPECT_EQ(buffer.bytes(), 12288u);
    EXPECT_EQ(ledger.held()[MemoryCategory::Shard], 4096u);
    EXPECT_EQ(ledger.held()[MemoryCategory::Resident], 8192u);
  }
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST(HostBuffer, TakesItsPagesAlongWhenItMoves) {
  Ledger ledger;
  HostBuffer from(ledger, MemoryCategory::Slots, 10000);
  from.data()[9999] = std::byte{42};
  const std::byte* data = from.data();
  HostBuffer to(std::move(from));
  EXPECT_EQ(to.data(), data);
  EXPECT_EQ(to.data()[9999], std::byte{42});
  EXPECT_EQ(from.data(), nullptr);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(from.bytes(), 0u);
  EXPECT_EQ(ledger.held().total(), 10000u);
}

TEST(HostBuffer, ReleasesItsPagesWhenAnotherIsAssigned) {
  Ledger ledger;
  HostBuffer one(ledger, MemoryCategory::Slots, 1u << 20);
  HostBuffer two(ledger, MemoryCategory::Scratch, 4096);
  const std::byte* old = one.data();
  const std::byte* data = two.data();
  ASSERT_TRUE(is_mapped(old));
  one = std::move(two);
  EXPECT_FALSE(is_mapped(old));
  EXPECT_EQ(one.data(), data);
  EXPECT_EQ(ledger.held()[MemoryCategory::Slots], 0u);
  EXPECT_EQ(ledger.held().total(), 4096u);
  one = HostBuffer();
  EXPECT_FALSE(is_mapped(data));
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST(HostBuffer, MoreThanCanBeHadIsAnErrorThatSaysWhatItWasFor) {
  Ledger ledger;
  const auto message = [&](std::initializer_list<HostBuffer::Part> parts) -> std::string {
    try {
      const HostBuffer buffer(ledger, parts);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({{MemoryCategory::KvCache, 1ull << 60}}),
            "cannot allocate 1152921504606846976 bytes for kv_cache: Cannot allocate memory");
  // Sums that wrap around are no small buffers.
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_THAT(message({{MemoryCategory::Staging, kMost}}), testing::HasSubstr("for staging"));
  EXPECT_THAT(message({{MemoryCategory::Shard, kMost}, {MemoryCategory::Resident, 1}}),
              testing::HasSubstr("for shard and 1 bytes for resident"));
  EXPECT_EQ(ledger.peak(), 0u);
}

TEST(ProportionalSetBytes, GrowsWithTheMemoryThatIsTouched) {
  constexpr std::uint64_t kBytes = 32u << 20;
  Ledger ledger;
  HostBuffer buffer(ledger, MemoryCategory::Shard, kBytes);
  const std::uint64_t before = proportional_set_bytes();
  ASSERT_GT(before, 0u);
  std::ranges::fill(buffer.span(), std::byte{1});
  EXPECT_GE(proportional_set_bytes(), before + kBytes * 9 / 10);
}

TEST(HugePageBytes, AreThoseOfTheRangeAlone) {
  constexpr std::uint64_t kBytes = 16u << 20;
  Ledger ledger;
  HostBuffer untouched(ledger, MemoryCategory::Shard, kBytes);
  HostBuffer small(ledger, MemoryCategory::Shard, 8192);
  EXPECT_EQ(huge_page_bytes(untouched.data(), 0), 0u);
  std::ranges::fill(small.span(), std::byte{1});
  EXPECT_LE(huge_page_bytes(small.data(), small.bytes()), small.bytes());
  HostBuffer large(ledger, MemoryCategory::Shard, kBytes);
  std::ranges::fill(large.span(), std::byte{1});
  EXPECT_LE(huge_page_bytes(large.data(), kBytes), kBytes);
  // A kernel may give none; what it gives is whole huge pages.
  EXPECT_EQ(huge_page_bytes(large.data(), kBytes) % kHugePage, 0u);
}

}  // namespace
}  // namespace initrt
