// Chooses among the kernel files by what the CPU reports.
#include "runtime/device/cpu/instruction_set.h"

#ifdef INITRT_X86_KERNELS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
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

// Whether CPU and system have AMX's tiles with bf16 products.
bool has_amx() {
  constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24, tiles_saved = 3u << 17;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & amx_bf16) == 0 || (d & amx_tile) == 0) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & tiles_saved) == tiles_saved;
}

// Linux saves the tiles of a process that has asked for them (Documentation/arch/x86/xstate.rst):
// all its threads, whether started before or after. Sandboxes may refuse.
bool may_use_tiles() {
#ifdef SYS_arch_prctl
  constexpr int request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
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
    case InstructionSet::Amx:
      return "amx_bf16";
  }
  fail("cpu: {} is not an instruction set of this program", static_cast<int>(set));
}

InstructionSet best_instruction_set() {
  for (const InstructionSet set : {InstructionSet::Amx, InstructionSet::Avx512Bf16,
                                   InstructionSet::Avx512, InstructionSet::Avx2}) {
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
  // Every CPU with the one has the other too.
  const bool avx512bf16 = avx512 && __builtin_cpu_supports("avx512bf16") != 0 &&
                          __builtin_cpu_supports("avx512vnni") != 0;
  switch (set) {
    case InstructionSet::Avx2:
      return avx2;
    case InstructionSet::Avx512:
      return avx512;
    case InstructionSet::Avx512Bf16:
      return avx512bf16;
    case InstructionSet::Amx:
      return avx512bf16 && has_amx() && may_use_tiles();
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
    case InstructionSet::Amx: {
      static const Kernels kernels = amx_kernels();
      return kernels;
    }
    default:
      break;
  }
#endif
  return portable_kernels;
}

}  // namespace cpu
}  // namespace initrt
