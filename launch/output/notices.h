// Warnings and notes on standard error.
#pragma once

#include <string>

#include "sharding/notices.h"

namespace initrt {

/// "initrt: ..." of a note, "initrt: warning: ..." of a warning.
[[nodiscard]] Notices stderr_notices();

/// "initrt: warning: ..." on standard error.
void warn(const std::string& text);

}  // namespace initrt
