// Shared by the CPU device's tests: every instruction set this machine has.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/device/cpu/instruction_set.h"
#include "tests/runtime/device/numbers.h"

namespace initrt::test {

inline std::vector<InstructionSet> supported_sets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set :
       {InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512,
        InstructionSet::Avx512Bf16, InstructionSet::Amx}) {
    if (cpu::supported(set)) sets.push_back(set);
  }
  return sets;
}

inline std::string set_name(const testing::TestParamInfo<InstructionSet>& param) {
  return std::string(name(param.param));
}

/// A test of every instruction set this machine has.
class CpuTest : public testing::TestWithParam<InstructionSet>, protected Random {
 protected:
  std::unique_ptr<Device> device(unsigned threads = 1) {
    return make_cpu_device(GetParam(), threads);
  }
};

}  // namespace initrt::test
