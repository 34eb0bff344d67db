#include "runtime/text/stop_strings.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace initrt {

// The longest end of the text that a stop string begins with.
std::size_t StopStrings::held_bytes() const {
  const std::string_view pending = pending_;
  std::size_t held = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t bytes = std::min(stop.size() - 1, pending.size()); bytes > held; --bytes) {
      if (stop.starts_with(pending.substr(pending.size() - bytes))) held = bytes;
    }
  }
  return held;
}

std::string StopStrings::push(std::string_view text) {
  if (stopped_) return "";
  pending_ += text;
  std::size_t begin = std::string::npos, end = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t found = pending_.find(stop);
    if (found == std::string::npos) continue;
    const std::pair candidate(found + stop.size(), found);
    if (candidate < std::pair(end, begin)) std::tie(end, begin) = candidate;
  }
  stopped_ = begin != std::string::npos;
  const std::size_t settled = stopped_ ? begin : pending_.size() - held_bytes();
  std::string out = pending_.substr(0, settled);
  pending_.erase(0, stopped_ ? pending_.size() : settled);
  return out;
}

std::string StopStrings::finish() { return std::exchange(pending_, {}); }

}  // namespace initrt
