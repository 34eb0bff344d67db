// The log of this process: lines on standard error.
#pragma once

#include <string>

#include "sharding/notices.h"

namespace initrt {

/// How lines name this rank, World::speaker(). Once, before other threads write lines.
void set_log_speaker(std::string speaker);

/// Writes log_line() in one piece.
void write_log(LogLevel level, const std::string& text);

/// Warnings and notes as lines of the log.
[[nodiscard]] Notices log_notices();

}  // namespace initrt
