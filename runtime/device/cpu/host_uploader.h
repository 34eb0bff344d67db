// What a loader's threads read into, where the device's memory is the host's.
#pragma once

#include <memory>
#include <vector>

#include "runtime/device/uploader.h"

namespace initrt {

/// One for each block of the ring, which is given back with the last of them.
[[nodiscard]] std::vector<std::unique_ptr<Uploader>> make_host_uploaders(Ledger& ledger,
                                                                         const StagingRing& ring);

}  // namespace initrt
