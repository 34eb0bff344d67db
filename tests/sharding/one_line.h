// Whether a text is what every error must be: one line, printable.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sharding/error.h"

namespace initrt::testing {

/// Neither empty, nor with control characters, nor with bytes that are not UTF-8.
inline bool is_one_line(const std::string& text) {
  if (text.empty() || one_line(text) != text) return false;
  try {
    (void)nlohmann::json(text).dump();
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
  return true;
}

}  // namespace initrt::testing
