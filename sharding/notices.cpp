#include "sharding/notices.h"

#include <fmt/format.h>

#include "sharding/error.h"

namespace initrt {
namespace {

std::string_view name(LogLevel level) {
  switch (level) {
    case LogLevel::Note:
      return "note";
    case LogLevel::Warning:
      return "warning";
    case LogLevel::Error:
      break;
  }
  return "error";
}

}  // namespace

std::string log_line(LogLevel level, std::string_view speaker, std::string_view text) {
  return fmt::format("initrt: {}{}: {}\n", speaker, name(level), one_line(text));
}

}  // namespace initrt
