// The one exception type. Its text is a finished line for a person: what, where, what was expected.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace initrt {

/// Any failure that a user can be told about. Caught once, in `main`.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws an Error whose text is formatted as by fmt::format.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// `text` with its control characters as \n, \t, \r, \x1b, ...: what an error quotes (a path, an
/// argument) can hold anything, and must neither end the line nor command the terminal. All else
/// stays, backslashes too, so that doing it twice changes nothing.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace initrt
