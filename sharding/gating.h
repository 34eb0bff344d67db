// What gated feed-forwards do between their products.
#pragma once

#include "sharding/functions.h"

namespace initrt {

/// What a gate makes of its inputs: function(gate) * (up + up_offset).
struct Gating {
  GateFunction function = GateFunction::Silu;
  float limit = 0.0f;  ///< gate is cut off above it, up beyond it either way; 0: none
  float up_offset = 0.0f;

  // NOLINTNEXTLINE(google-explicit-constructor): most gates are a function and no more
  constexpr Gating(GateFunction of, float limited = 0.0f, float offset = 0.0f)
      : function(of), limit(limited), up_offset(offset) {}
  bool operator==(const Gating&) const = default;
};

}  // namespace initrt
