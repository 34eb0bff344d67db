// Strings of which those are found that a text begins with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace initrt {

/// Strings with a value each, sorted: a byte of the text narrows the range that still agrees with
/// it, so that a search takes as many steps as the text and a string have bytes in common.
template <class Value>
class Prefixes {
 public:
  Prefixes() = default;
  /// @param entries without empty strings; of equal strings the first one counts
  explicit Prefixes(std::vector<std::pair<std::string, Value>> entries)
      : entries_(std::move(entries)) {
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto end = std::unique(entries_.begin(), entries_.end(),
                                 [](const auto& a, const auto& b) { return a.first == b.first; });
    entries_.erase(end, entries_.end());
  }

  /// Calls `found(value, bytes)` for each string that `text` begins with, the shortest first.
  template <class Found>
  void each(std::string_view text, const Found& found) const {
    auto begin = entries_.begin();
    auto end = entries_.end();
    for (std::size_t at = 0; at < text.size() && begin != end; ++at) {
      const auto byte = static_cast<unsigned char>(text[at]);
      const auto byte_of = [at](const auto& entry) {
        return static_cast<unsigned char>(entry.first[at]);
      };
      begin = std::partition_point(begin, end, [&](const auto& e) { return byte_of(e) < byte; });
      end = std::partition_point(begin, end, [&](const auto& e) { return byte_of(e) == byte; });
      // The one that ends here is the first of those that agree so far.
      if (begin != end && begin->first.size() == at + 1) {
        found(begin->second, at + 1);
        ++begin;
      }
    }
  }

 private:
  std::vector<std::pair<std::string, Value>> entries_;
};

}  // namespace initrt
