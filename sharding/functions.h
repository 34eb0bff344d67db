// The functions that ops are made of, as graphs name them and devices compute them.
#pragma once

#include <cstdint>

namespace initrt {

enum class NormKind : std::uint8_t {
  Rms,    ///< x / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich 2019, arXiv:1910.07467)
  Layer,  ///< (x - mean(x)) / sqrt(variance(x) + epsilon) (Ba et al. 2016, arXiv:1607.06450)
};

enum class GateFunction : std::uint8_t {
  Silu,      ///< x / (1 + e^-x)
  Gelu,      ///< x times the normal distribution function (Hendrycks 2016, arXiv:1606.08415)
  GeluTanh,  ///< the same paper's approximation by a hyperbolic tangent
  QuickGelu,  ///< the same paper's by a sigmoid: x / (1 + e^(-1.702 x))
};

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
