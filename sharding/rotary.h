// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) and the ways to stretch it over more
// positions than a model was trained with. Pure: what a device needs are the tables made of this.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace initrt {

/// A head's first `dimensions` elements are rotated: the pair (i, i + dimensions / 2) at a position
/// by the angle position x frequency[i].
struct RotarySpec {
  std::uint32_t dimensions = 0;
  double theta = 10000.0;
  /// [dimensions / 2]; of sequences of at most `original_context` positions where that is not 0.
  std::vector<float> frequencies;
  float attention_factor = 1.0f;  ///< cosines and sines are multiplied by it
  /// Where it is not 0, they are also multiplied by 1 + step_factor * ln(1 + floor((first_step +
  /// position) / step)): attention grows sharper with the distance from the start (as in Llama 4).
  std::uint64_t step = 0;
  float step_factor = 0.0f;
  std::uint64_t first_step = 0;  ///< what position 0 counts as
  /// Longer sequences have frequencies of their own: `long_frequencies` where there are any
  /// (LongRoPE, Ding et al. 2024, arXiv:2402.13753), else those of dynamic NTK scaling, whose base
  /// grows with the sequence's length.
  std::uint64_t original_context = 0;
  std::vector<float> long_frequencies;
  double dynamic_factor = 1.0;
  std::uint64_t reach = 0;  ///< positions that stretching is meant for; 0: those of the config

  bool operator==(const RotarySpec&) const = default;
};

/// The length at which what was rotated before must be rotated anew, by the long frequencies, as
/// transformers does; 0: none. Dynamic NTK scaling leaves the keys that it has.
[[nodiscard]] std::uint32_t restart_length(std::span<const RotarySpec> specs);

/// theta^(-2i / dimensions) for i < dimensions / 2.
[[nodiscard]] std::vector<float> rotary_frequencies(std::uint32_t dimensions, double theta);

/// Writes cosines and sines of one row, [2, dimensions / 2]: angles in float32, as the reference
/// computes them.
/// @param length positions of the sequence that the row is of, which is what scaling goes by
void fill_rotary_row(const RotarySpec& spec, std::uint32_t position, std::uint32_t length,
                     std::span<float> row);

/// What "llama3" scaling needs (Llama 3.1's, Grattafiori et al. 2024, arXiv:2407.21783).
struct Llama3Scaling {
  double factor, low_frequency_factor, high_frequency_factor, original_context;
};
/// Slow frequencies divided by the factor, fast ones as they are, a ramp between.
void scale_llama3(RotarySpec& spec, const Llama3Scaling& scaling);

/// What YaRN needs (Peng et al. 2023, arXiv:2309.00071).
struct YarnScaling {
  double factor, original_context;
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;  ///< the ramp begins and ends at whole dimensions
};
/// Interpolates the frequencies that turn less than beta_slow times in the original context, keeps
/// those that turn more than beta_fast times, ramps between.
void scale_yarn(RotarySpec& spec, const YarnScaling& scaling);

}  // namespace initrt
