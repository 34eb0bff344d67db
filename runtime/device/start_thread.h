// Threads that say what they were for where the system has none left.
#pragma once

#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "sharding/error.h"

namespace initrt {

/// Starts a thread that runs `body`.
/// @param what it is, for the error: "the thread that ..."
/// @throws ResourceError where the system gives no more threads
template <class Body>
[[nodiscard]] std::thread start_thread(std::string_view what, Body&& body) {
  try {
    return std::thread(std::forward<Body>(body));
  } catch (const std::system_error& error) {
    throw ResourceError(Resource::Threads,
                        fmt::format("cannot start {}: {}", what, error.code().message()));
  }
}

}  // namespace initrt
