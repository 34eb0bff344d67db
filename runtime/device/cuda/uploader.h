// What a loader's threads read into, for a GPU: a pinned block each, which is copied as it was read
// and converted by the GPU, so that no more crosses the bus than was in the file. Where the machine
// has GPUDirect Storage, files go straight into the GPU's copy.
#pragma once

#include <memory>
#include <vector>

#include "runtime/device/uploader.h"

namespace initrt::cuda {

/// One for each block of the ring.
/// @param gpu the current device of the calling thread
/// @param direct whether to look for GPUDirect Storage
[[nodiscard]] std::vector<std::unique_ptr<Uploader>> make_cuda_uploaders(int gpu, Ledger& ledger,
                                                                         const StagingRing& ring,
                                                                         bool direct);

}  // namespace initrt::cuda
