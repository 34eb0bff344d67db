// The exchange between GPUs by NCCL, as the rest of the program sees it: it is there also where the
// program is built without.
#pragma once

#include <memory>

#include "runtime/comm/communicator.h"
#include "runtime/comm/exchange.h"
#include "runtime/device/memory.h"

namespace initrt::nccl {

/// Whether this program was built with it at all.
[[nodiscard]] bool is_built();

/// Connects the ranks of `base`. Collective. References outlive the exchange.
/// @param device of cuda::make_device(), on another GPU on every rank
/// @param timed whether gatherings are asked for their interval()
/// @throws Error where this program was built without NCCL, or it cannot connect the ranks
[[nodiscard]] std::unique_ptr<Exchange> make_exchange(DeviceMemory& device, Communicator& base,
                                                      bool timed);

}  // namespace initrt::nccl
