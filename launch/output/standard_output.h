// Standard output, which is the program's result: what cannot be written there is a failure.
#pragma once

#include <functional>
#include <string_view>

namespace initrt {

/// Writes `text` to standard output, all of it.
/// @param waiting called again and again while whoever reads it keeps this waiting (a
/// pager that shows one page); may throw, which ends the wait; may be empty
/// @throws Error with the cause
void write_stdout(std::string_view text, const std::function<void()>& waiting = {});

}  // namespace initrt
