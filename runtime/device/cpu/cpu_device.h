// The CPU backend: a first-class device, one kernel file per instruction set.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "runtime/device/device.h"

namespace initrt {

/// Instruction sets with a kernel file of their own, from the least to the most capable.
/// Results are bitwise reproducible on one instruction set, not across them.
enum class InstructionSet : std::uint8_t { Portable, Avx2, Avx512, Avx512Bf16, Amx };

[[nodiscard]] std::string_view name(InstructionSet set);

/// The most capable set this CPU supports and this build contains.
[[nodiscard]] InstructionSet best_instruction_set();

/// A CPU device with `threads` compute threads (the calling thread counts as one).
/// @param spin whether each thread has a core of its own, and so may wait without sleeping
/// @throws Error if this CPU does not support `set`.
[[nodiscard]] std::unique_ptr<Device> make_cpu_device(InstructionSet set, unsigned threads,
                                                      bool spin = true);

}  // namespace initrt
