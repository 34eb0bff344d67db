#include "sharding/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace initrt {
namespace {

// The base of dynamic NTK scaling for a sequence of `length` > original_context positions.
double dynamic_theta(const RotarySpec& spec, std::uint32_t length) {
  const double dimensions = spec.dimensions;
  const double stretch = spec.dynamic_factor * length / static_cast<double>(spec.original_context) -
                         (spec.dynamic_factor - 1);
  return spec.theta * std::pow(stretch, dimensions / (dimensions - 2));
}

void fill_row(std::span<const float> frequencies, float factor, std::uint32_t position,
              std::span<float> row) {
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const float angle = static_cast<float>(position) * frequencies[i];
    row[i] = static_cast<float>(std::cos(static_cast<double>(angle))) * factor;
    row[frequencies.size() + i] = static_cast<float>(std::sin(static_cast<double>(angle))) * factor;
  }
}

}  // namespace

std::uint32_t restart_length(std::span<const RotarySpec> specs) {
  for (const RotarySpec& spec : specs) {
    if (spec.long_frequencies == spec.frequencies || spec.long_frequencies.empty()) continue;
    return static_cast<std::uint32_t>(spec.original_context + 1);
  }
  return 0;
}

std::vector<float> rotary_frequencies(std::uint32_t dimensions, double theta) {
  std::vector<float> frequencies(dimensions / 2);
  for (std::uint32_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = static_cast<float>(1.0 / std::pow(theta, 2.0 * i / dimensions));
  }
  return frequencies;
}

void fill_rotary_row(const RotarySpec& spec, std::uint32_t position, std::uint32_t length,
                     std::span<float> row) {
  if (spec.original_context == 0 || length <= spec.original_context) {
    fill_row(spec.frequencies, spec.attention_factor, position, row);
  } else if (!spec.long_frequencies.empty()) {
    fill_row(spec.long_frequencies, spec.attention_factor, position, row);
  } else {
    fill_row(rotary_frequencies(spec.dimensions, dynamic_theta(spec, length)),
             spec.attention_factor, position, row);
  }
  const std::uint64_t counted = spec.first_step + position;
  if (spec.step == 0 || counted < spec.step) return;
  const std::uint64_t steps = 1 + counted / spec.step;
  const auto factor =
      static_cast<float>(1 + spec.step_factor * std::log(static_cast<double>(steps)));
  for (float& value : row) value *= factor;
}

void scale_llama3(RotarySpec& spec, const Llama3Scaling& scaling) {
  for (float& frequency : spec.frequencies) {
    const double turns = scaling.original_context * frequency / (2 * std::numbers::pi);
    // From 0 (slow: turns less often than low_frequency_factor) to 1 (fast).
    const double ramp = (turns - scaling.low_frequency_factor) /
                        (scaling.high_frequency_factor - scaling.low_frequency_factor);
    const double kept = turns < scaling.low_frequency_factor    ? 0
                        : turns > scaling.high_frequency_factor ? 1
                                                                : ramp;
    frequency = static_cast<float>(((1 - kept) / scaling.factor + kept) * frequency);
  }
}

void scale_yarn(RotarySpec& spec, const YarnScaling& scaling) {
  const double dimensions = spec.dimensions;
  // The dimension whose frequency turns `turns` times in the original context.
  const auto dimension_of = [&](double turns) {
    return dimensions * std::log(scaling.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(spec.theta));
  };
  double low = dimension_of(scaling.beta_fast), high = dimension_of(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dimensions - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < spec.frequencies.size(); ++i) {
    const double interpolated = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    float& frequency = spec.frequencies[i];
    frequency = static_cast<float>((interpolated / scaling.factor + (1 - interpolated)) *
                                   static_cast<double>(frequency));
  }
}

}  // namespace initrt
