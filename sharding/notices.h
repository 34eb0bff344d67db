// What a person should know: lines of the log on standard error, and notices that are no error,
// given to whoever called, who shows them or not.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace initrt {

enum class LogLevel : unsigned char { Note, Warning, Error };

/// "initrt: rank 3 on NODE: warning: TEXT\n".
/// @param speaker "rank 3 on NODE: "; empty for what is no rank's own, and in a world of one
[[nodiscard]] std::string log_line(LogLevel level, std::string_view speaker, std::string_view text);

/// Where such texts go, each a sentence. Either may be empty.
struct Notices {
  std::function<void(const std::string& text)> warning;
  std::function<void(const std::string& text)> note;  ///< of a choice that was made, say

  void warn(const std::string& text) const {
    if (warning && !text.empty()) warning(text);
  }
  void say(const std::string& text) const {
    if (note && !text.empty()) note(text);
  }
};

}  // namespace initrt
