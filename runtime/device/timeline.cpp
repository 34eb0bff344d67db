#include "runtime/device/timeline.h"

namespace initrt {

std::string_view name(Lane lane) {
  switch (lane) {
    case Lane::Read:
      return "read";
    case Lane::Copy:
      return "copy";
    case Lane::Convert:
      return "convert";
    case Lane::Gather:
      return "gather";
    case Lane::Execute:
      return "execute";
    case Lane::Exchange:
      return "exchange";
  }
  return "";
}

// Memory that nothing is written to costs nothing, and adding is then never slow.
Timeline::Timeline(std::size_t most) : most_(most) { spans_.reserve(most); }

void Timeline::add(const Span& span) {
  const std::lock_guard lock(mutex_);
  if (spans_.size() < most_) {
    spans_.push_back(span);
  } else {
    ++left_out_;
  }
}

}  // namespace initrt
