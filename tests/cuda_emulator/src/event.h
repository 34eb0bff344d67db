// What an event's handle points to.
#pragma once

#include <memory>
#include <vector>

#include "stream.h"

struct CUevent_st {
  std::shared_ptr<cuda_emulator::Completion> point;  ///< last recorded; null: none yet
  bool timed = true;
  /// Set where it was last recorded by a capture: then these nodes are what it stands for.
  std::shared_ptr<cuda_emulator::Capture> capture;
  std::vector<std::size_t> nodes;
};
