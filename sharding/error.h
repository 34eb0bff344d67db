// The one exception type. Its text is a finished line for a person: what, where, what was expected.
#pragma once

#include <fmt/format.h>

#include <cstdint>
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

/// What the system can refuse a process more of.
enum class Resource : std::uint8_t { Threads, Memory };

/// Something could not be had. What is printed of it names the limits on the resource too.
class ResourceError : public Error {
 public:
  ResourceError(Resource resource, const std::string& text) : Error(text), resource_(resource) {}

  [[nodiscard]] Resource resource() const { return resource_; }

 private:
  Resource resource_;
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
