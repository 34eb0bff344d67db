// Chooses among the kernel files by what the CPU reports.
#include "runtime/device/cpu/instruction_set.h"

#ifdef INITRT_X86_KERNELS
#include <cpuid.h>
#endif

#include "sharding/error.h"

namespace initrt {
namespace {

#ifdef INITRT_X86_KERNELS
// __builtin_cpu_supports() of Clang 16 does not know the name.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

}  // namespace

std::string_view name(InstructionSet set) {
  switch (set) {
    case InstructionSet::Portable:
      return "portable";
    case InstructionSet::Avx2:
      return "avx2";
    case InstructionSet::Avx512:
      return "avx512";
    case InstructionSet::Avx512Bf16:
      return "avx512_bf16";
  }
  fail("cpu: {} is not an instruction set of this program", static_cast<int>(set));
}

InstructionSet best_instruction_set() {
  for (const InstructionSet set :
       {InstructionSet::Avx512Bf16, InstructionSet::Avx512, InstructionSet::Avx2}) {
    if (cpu::supported(set)) return set;
  }
  return InstructionSet::Portable;
}

namespace cpu {

bool supported(InstructionSet set) {
  if (set == InstructionSet::Portable) return true;
#ifdef INITRT_X86_KERNELS
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 && has_f16c();
  const bool avx512 =
      avx2 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  switch (set) {
    case InstructionSet::Avx2:
      return avx2;
    case InstructionSet::Avx512:
      return avx512;
    case InstructionSet::Avx512Bf16:
      // Every CPU with the one has the other too.
      return avx512 && __builtin_cpu_supports("avx512bf16") != 0 &&
             __builtin_cpu_supports("avx512vnni") != 0;
    default:
      return false;
  }
#else
  return false;
#endif
}

const Kernels& kernels_of(InstructionSet set) {
  if (!supported(set)) {
    fail("cpu: this machine or build has no {} kernels, the best it has are {}", name(set),
         name(best_instruction_set()));
  }
#ifdef INITRT_X86_KERNELS
  switch (set) {
    case InstructionSet::Avx2:
      return avx2_kernels;
    case InstructionSet::Avx512:
      return avx512_kernels;
    case InstructionSet::Avx512Bf16:
      return avx512bf16_kernels;
    default:
      break;
  }
#endif
  return portable_kernels;
}

}  // namespace cpu
}  // namespace initrt
