// What this process is allowed, for errors about what it could not have.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "sharding/error.h"

namespace initrt {

/// Bytes that this process may have (setrlimit), where that is limited.
struct ProcessLimits {
  std::optional<std::uint64_t> address_space;  ///< RLIMIT_AS
  std::optional<std::uint64_t> data;           ///< RLIMIT_DATA
};
[[nodiscard]] ProcessLimits process_limits();

/// The limits that can be met where `resource` runs out, each with its value: those of the process
/// (setrlimit) and of the control groups around it. "" where none is set.
/// @param root what /proc and /sys are below: "" but in tests
[[nodiscard]] std::string limits_on(Resource resource, const std::string& root = "");

/// What a failure says of itself, and where it is for want of threads or memory the limits on them.
[[nodiscard]] std::string failure_text(const std::exception& error);

}  // namespace initrt
