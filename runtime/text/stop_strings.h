// Where an answer ends by what it says: a stream of text that is cut at the first stop string.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace initrt {

/// Text that may still become a stop string is held back, so that no part of one is given out. What
/// is given out in all depends on the text, not on the pieces that it comes in.
class StopStrings {
 public:
  /// @param stops none empty; of several in the text the one that ends first counts, of those that
  ///        end together the longest
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Adds text; returns what can be given out. Nothing once a stop string has come.
  std::string push(std::string_view text);
  /// The text ends here: what was held back.
  std::string finish();
  /// Whether a stop string has come.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  [[nodiscard]] std::size_t held_bytes() const;

  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace initrt
