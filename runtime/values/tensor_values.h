// The values of tensors, whatever they are stored as: hashed, counted, compared. Streamed: memory
// stays at what ElementReader reads at once.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/load/element_reader.h"
#include "runtime/values/hash.h"
#include "runtime/values/tensor_listing.h"

namespace initrt {

/// What a tensor's values are. Equal values have equal hashes: each is hashed as float32 where that
/// holds it (all the smaller types, and much of float64), any NaN as the same one.
struct Digest {
  Hash hash;
  std::uint64_t nans = 0, infinities = 0;
};

[[nodiscard]] Digest digest(ElementReader& reader, const ListedTensor& listed);

/// The first element at which two tensors of the same shape differ, as a sentence's end ("differs
/// at [3, 5]: 1 and 2"), or "". Zeros of different signs differ, NaNs do not.
[[nodiscard]] std::string first_difference(ElementReader& reader_a, const ListedTensor& a,
                                           ElementReader& reader_b, const ListedTensor& b);

}  // namespace initrt
