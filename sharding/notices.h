// What a person should know and what is no error: given to whoever called, who shows it or not.
#pragma once

#include <functional>
#include <string>

namespace initrt {

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
