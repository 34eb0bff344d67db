// device_choice: whether ranks compute on GPUs, and on which, agreed by all; each rank is then
// bound near its GPU.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"
#include "runtime/machine/machine_options.h"

namespace initrt {

enum class DeviceKind : std::uint8_t { Cpu, Cuda };

struct DeviceChoice {
  DeviceKind kind = DeviceKind::Cpu;
  unsigned gpu = 0;                     ///< index among those this rank sees
  std::array<std::uint8_t, 16> uuid{};  ///< its
  bool shared = false;                  ///< whether some ranks share a GPU
  std::string warning;                  ///< what a person should know of where this rank ended up
};

/// MachineOptions::device, with "auto" decided: GPUs where this program can use them and every rank
/// sees one, else CPUs. Collective. Where it is a GPU, the calling thread, and so all that it
/// starts, is bound to cores near it.
/// @throws Error where GPUs are asked for that are not there, or ranks would share one unasked; for
///         "auto" also where only some ranks see one
[[nodiscard]] DeviceChoice choose_device(const MachineOptions& options, Communicator& comm);

/// What a plan is made for, without other ranks: "auto" is a GPU where this process sees one.
[[nodiscard]] DeviceKind planned_device(const MachineOptions& options);

}  // namespace initrt
