// Readers of local files whose reads come to what a fault says. The rest of them is the product's
// own, and so is what becomes of such a read.
#pragma once

#include <functional>
#include <memory>

#include "runtime/faults/fault.h"
#include "runtime/storage/local_files.h"
#include "runtime/storage/range_reader.h"
#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// For headers: LocalFiles, which fail as armed_fault() says where there is one.
[[nodiscard]] std::unique_ptr<LocalFiles> make_local_files(std::function<void()> waiting);

/// For payload: a FileReader that fails as armed_fault() says, which there is.
[[nodiscard]] std::unique_ptr<RangeReader> open_faulty_file(const CheckpointFile& file,
                                                            ReadStatistics& statistics);

}  // namespace initrt
