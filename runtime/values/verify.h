// Checkpoints by the values of their tensors, whatever their formats: hashed, or compared with each
// other. Streamed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/values/tensor_values.h"
#include "sharding/notices.h"

namespace initrt {

/// What all tensors of a listing hold.
struct TotalDigest {
  Hash hash;  ///< of each one's name, shape and hash
  std::uint64_t elements = 0, nans = 0, infinities = 0;
};

/// @param on_tensor told of each, in order, as soon as it has been read; may be empty
[[nodiscard]] TotalDigest digest_all(
    const TensorListing& listing,
    const std::function<void(const ListedTensor&, const Digest&)>& on_tensor = {});

struct CheckpointPath {
  std::string path;
  std::string format;  ///< a Format's name, or "" for the first that is there
};

struct Comparison {
  std::string difference;  ///< the first, a sentence that names both checkpoints; "" for none
  std::uint64_t tensors = 0, elements = 0;  ///< that are the same
};

/// The model's tensors, where both checkpoints say what model they are, else those that are stored.
/// @param stored those that are stored, though the model is known
/// @throws Error where one cannot be opened
[[nodiscard]] Comparison compare_checkpoints(Files& files, const CheckpointPath& a,
                                             const CheckpointPath& b, bool stored,
                                             const Notices& notices = {});

}  // namespace initrt
