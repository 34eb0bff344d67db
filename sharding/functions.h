// The functions that ops are made of, as graphs name them and devices compute them.
#pragma once

#include <cstdint>

namespace initrt {

enum class NormKind : std::uint8_t {
  Rms,    ///< x / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich 2019, arXiv:1910.07467)
  Layer,  ///< (x - mean(x)) / sqrt(variance(x) + epsilon) (Ba et al. 2016, arXiv:1607.06450)
};

enum class GateFunction : std::uint8_t {
  Silu,       ///< x / (1 + e^-x)
  Gelu,       ///< x times the normal distribution function (Hendrycks 2016, arXiv:1606.08415)
  GeluTanh,   ///< the same paper's approximation by a hyperbolic tangent
  QuickGelu,  ///< the same paper's by a sigmoid: x / (1 + e^(-1.702 x))
  Sigmoid,    ///< 1 / (1 + e^-x)
  Relu2,      ///< max(x, 0)^2 (So et al. 2021, arXiv:2109.08668)
};

}  // namespace initrt
