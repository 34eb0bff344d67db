// Which kernels this CPU can run, and where they are.
#pragma once

#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cpu/kernels.h"

namespace initrt::cpu {

/// Whether this CPU (and its operating system) can run `set` and this build contains it. Of Amx the
/// system is asked to let this process use tiles.
[[nodiscard]] bool supported(InstructionSet set);

/// @throws Error where supported() is false.
[[nodiscard]] const Kernels& kernels_of(InstructionSet set);

}  // namespace initrt::cpu
