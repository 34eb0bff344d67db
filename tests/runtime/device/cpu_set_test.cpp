// The choice of instruction set.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

TEST(CpuSet, BestIsSupportedAndPortableAlwaysIs) {
  EXPECT_TRUE(cpu::supported(best_instruction_set()));
  EXPECT_TRUE(cpu::supported(InstructionSet::Portable));
}

TEST(CpuSet, DeviceNamesItsSetAndThreads) {
  EXPECT_EQ(make_cpu_device(InstructionSet::Portable, 1)->name(), "cpu portable, 1 thread");
  EXPECT_EQ(make_cpu_device(InstructionSet::Portable, 3)->name(), "cpu portable, 3 threads");
}

TEST(CpuSet, AmxIsTheBestWhereItIsAndBeginsWithAvx512Bf16) {
  EXPECT_EQ(name(InstructionSet::Amx), "amx_bf16");
  const bool is_there = cpu::supported(InstructionSet::Amx);
  EXPECT_EQ(best_instruction_set() == InstructionSet::Amx, is_there);
  if (!is_there) return;
  EXPECT_TRUE(cpu::supported(InstructionSet::Avx512Bf16));
  EXPECT_EQ(make_cpu_device(InstructionSet::Amx, 2)->name(), "cpu amx_bf16, 2 threads");
}

TEST(CpuSet, ZeroThreadsIsAnError) {
  EXPECT_THAT([] { (void)make_cpu_device(InstructionSet::Portable, 0); },
              testing::ThrowsMessage<Error>("cpu: 0 compute threads, expected at least 1"));
}

TEST(CpuSet, UnsupportedSetIsAnErrorThatNamesTheBest) {
  for (const InstructionSet set : {InstructionSet::Avx2, InstructionSet::Avx512,
                                   InstructionSet::Avx512Bf16, InstructionSet::Amx}) {
    if (cpu::supported(set)) continue;
    EXPECT_THAT([set] { (void)make_cpu_device(set, 1); },
                testing::ThrowsMessage<Error>(
                    testing::HasSubstr(std::string(name(best_instruction_set())))));
  }
}

TEST(CpuSet, UnknownSetIsAnError) {
  EXPECT_THAT([] { (void)make_cpu_device(static_cast<InstructionSet>(77), 1); },
              testing::ThrowsMessage<Error>("cpu: 77 is not an instruction set of this program"));
}

}  // namespace
}  // namespace initrt::test
