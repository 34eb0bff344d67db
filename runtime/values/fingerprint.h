// Whether two checkpoints are the same one, without reading them.
#pragma once

#include <string>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// A hash of what tensors there are (names, dtypes, shapes) and of some of the bytes of some
/// hundred of them: the same of a copy, wherever it is and however many files it is in. Another
/// model is all but certain to have another, a model that was trained further too; one in which a
/// few single numbers were changed may not. Reads half a megabyte, on the one rank that reads.
/// @throws Error naming the file that cannot be read
[[nodiscard]] std::string fingerprint(Files& files, const Catalog& catalog);

}  // namespace initrt
