// Whether the ranks of several nodes read the same checkpoint: a path may lead to a copy on each,
// and one of another training has the same shapes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"
#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/files.h"
#include "sharding/checkpoint/names/names.h"

namespace initrt {

/// A rank's place among those of its node.
struct NodeSeat {
  bool first = true;  ///< of its node's ranks: it looks for all of them
  std::string node;   ///< how to name it; may be the same for several
};

/// Some bytes of a tensor, where one of a catalog's files has them.
struct TensorSample {
  std::uint32_t file = 0, tensor = 0;  ///< indices into the catalog's
  std::uint64_t offset = 0;            ///< bytes from the start of the file
  std::uint64_t bytes = 0;             ///< at most 4096

  bool operator==(const TensorSample&) const = default;
};

/// At most 64, spread over all tensors that the model uses, by what the catalog says alone: the
/// same on every rank. A model that was trained further is all but certain to differ there, also
/// where that changed a few matrices of each block; one with a few single numbers changed may not.
[[nodiscard]] std::vector<TensorSample> choose_samples(const Catalog& catalog,
                                                       const Bindings& bindings);

/// The first rank of each node compares the sizes of all files that the model uses, and the bytes
/// of choose_samples(), with what the first node has. Collective; on one node nothing is read.
/// @param files of this node
/// @throws Error on every rank, naming node, file and byte of the first difference; on a rank that
///         cannot read a file, Error naming that
void check_same_checkpoint(Communicator& comm, Files& files, const Catalog& catalog,
                           const Bindings& bindings, const NodeSeat& seat);

}  // namespace initrt
