// Standard output, which is the program's result: what cannot be written there is a failure.
#pragma once

#include <string_view>

namespace initrt {

/// Writes `text` to standard output, and flushes.
/// @throws Error with the cause
void put(std::string_view text);

}  // namespace initrt
