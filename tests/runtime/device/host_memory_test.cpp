// Host memory for tensor payload: zeroed, aligned, in the ledger for as long as it is held.
#include "runtime/device/host_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <vector>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kHugePage = 2u << 20;

std::uintptr_t address(const Buffer& buffer) {
  return reinterpret_cast<std::uintptr_t>(buffer.data());
}

// Whether the kernel knows the page: msync() of memory that is not mapped is ENOMEM.
bool is_mapped(const std::byte* data) {
  auto* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(data) / 4096 * 4096);
  return msync(page, 4096, MS_ASYNC) == 0;
}

class HostMemoryOf : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Bytes, HostMemoryOf,
                         testing::Values(1, 4095, 4096, 100001, kHugePage - 1, kHugePage,
                                         kHugePage + 1, 3 * kHugePage + 12345));

TEST_P(HostMemoryOf, IsZeroedAlignedAndWritableToItsLastByte) {
  Ledger ledger;
  for (int again = 0; again < 3; ++again) {
    Buffer buffer = allocate_host_memory(ledger, MemoryCategory::KvCache, GetParam());
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

TEST(HostMemory, OfNoBytesHoldsNothing) {
  Ledger ledger;
  const Buffer buffer = allocate_host_memory(ledger, MemoryCategory::Shard, 0);
  EXPECT_EQ(buffer.bytes(), 0u);
  EXPECT_TRUE(buffer.span().empty());
  EXPECT_EQ(ledger.peak(), 0u);
}

TEST(HostMemory, PartsAreEnteredUnderTheirOwnCategories) {
  Ledger ledger;
  {
    const Buffer buffer =
        allocate_host_memory(ledger, std::array<BufferPart, 2>{{{MemoryCategory::Shard, 4096},
                                                                {MemoryCategory::Resident, 8192}}});
    EXPECT_EQ(buffer.bytes(), 12288u);
    EXPECT_EQ(ledger.held()[MemoryCategory::Shard], 4096u);
    EXPECT_EQ(ledger.held()[MemoryCategory::Resident], 8192u);
  }
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST(HostMemory, TakesItsPagesAlongWhenItMoves) {
  Ledger ledger;
  Buffer from = allocate_host_memory(ledger, MemoryCategory::Slots, 10000);
  from.data()[9999] = std::byte{42};
  const std::byte* data = from.data();
  Buffer to(std::move(from));
  EXPECT_EQ(to.data(), data);
  EXPECT_EQ(to.data()[9999], std::byte{42});
  EXPECT_EQ(from.data(), nullptr);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(from.bytes(), 0u);
  EXPECT_EQ(ledger.held().total(), 10000u);
}

TEST(HostMemory, ReleasesItsPagesWhenAnotherIsAssigned) {
  Ledger ledger;
  Buffer one = allocate_host_memory(ledger, MemoryCategory::Slots, 1u << 20);
  Buffer two = allocate_host_memory(ledger, MemoryCategory::Scratch, 4096);
  const std::byte* old = one.data();
  const std::byte* data = two.data();
  ASSERT_TRUE(is_mapped(old));
  one = std::move(two);
  EXPECT_FALSE(is_mapped(old));
  EXPECT_EQ(one.data(), data);
  EXPECT_EQ(ledger.held()[MemoryCategory::Slots], 0u);
  EXPECT_EQ(ledger.held().total(), 4096u);
  one = Buffer();
  EXPECT_FALSE(is_mapped(data));
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST(HostMemory, MoreThanCanBeHadIsAnErrorThatSaysWhatItWasFor) {
  Ledger ledger;
  const auto message = [&](const std::vector<BufferPart>& parts) -> std::string {
    try {
      const Buffer buffer = allocate_host_memory(ledger, parts);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({{MemoryCategory::KvCache, 1ull << 60}}),
            "cannot allocate 1152921504606846976 bytes for kv_cache: Cannot allocate memory");
  // Sums that wrap around are no small buffers.
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_THAT(message({{MemoryCategory::Staging, kMax}}), testing::HasSubstr("for staging"));
  EXPECT_THAT(message({{MemoryCategory::Shard, kMax}, {MemoryCategory::Resident, 1}}),
              testing::HasSubstr("for shard and 1 bytes for resident"));
  EXPECT_EQ(ledger.peak(), 0u);
}

TEST(ProportionalSetBytes, GrowsWithTheMemoryThatIsTouched) {
  constexpr std::uint64_t kBytes = 32u << 20;
  Ledger ledger;
  Buffer buffer = allocate_host_memory(ledger, MemoryCategory::Shard, kBytes);
  const std::uint64_t before = proportional_set_bytes();
  ASSERT_GT(before, 0u);
  std::ranges::fill(buffer.span(), std::byte{1});
  EXPECT_GE(proportional_set_bytes(), before + kBytes * 9 / 10);
}

TEST(HugePageBytes, AreThoseOfTheRangeAlone) {
  constexpr std::uint64_t kBytes = 16u << 20;
  Ledger ledger;
  Buffer untouched = allocate_host_memory(ledger, MemoryCategory::Shard, kBytes);
  Buffer small = allocate_host_memory(ledger, MemoryCategory::Shard, 8192);
  EXPECT_EQ(huge_page_bytes(untouched.data(), 0), 0u);
  std::ranges::fill(small.span(), std::byte{1});
  EXPECT_LE(huge_page_bytes(small.data(), small.bytes()), small.bytes());
  Buffer large = allocate_host_memory(ledger, MemoryCategory::Shard, kBytes);
  std::ranges::fill(large.span(), std::byte{1});
  EXPECT_LE(huge_page_bytes(large.data(), kBytes), kBytes);
  // A kernel may give none; what it gives is whole huge pages.
  EXPECT_EQ(huge_page_bytes(large.data(), kBytes) % kHugePage, 0u);
}

}  // namespace
}  // namespace initrt
