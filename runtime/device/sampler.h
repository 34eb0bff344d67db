// Choosing tokens where their logits are.
#pragma once

#include <cstdint>
#include <span>

#include "sharding/sampling.h"

namespace initrt {

class DeviceSampler {
 public:
  virtual ~DeviceSampler() = default;

  /// Whether it has sample(): worth it where logits would have to come to the host.
  [[nodiscard]] virtual bool samples() const = 0;

  /// Chooses a token from each row of logits, as runtime/text/sampler.h does on the host: the same
  /// one, but where a rounding of the sums of probabilities decides. A row's token depends on
  /// nothing of the others. Not for repeat(): draws are other ones each time.
  /// @param logits [rows, vocabulary]
  /// @param options within their ranges; neither penalty nor seed are looked at
  /// @param draws in [0, 1), one for each row: see draw_of()
  /// @param out [rows], on the host, there when this returns
  /// @throws Error where the device has none of this
  virtual void sample(const float* logits, std::uint64_t rows, std::uint64_t vocabulary,
                      const SamplerOptions& options, std::span<const double> draws,
                      std::span<Sampled> out) = 0;
};

}  // namespace initrt
