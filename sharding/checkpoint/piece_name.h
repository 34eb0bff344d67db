// Names of the pieces of a checkpoint that was split into files: prefix-00001-of-00003.suffix, as
// Hugging Face's libraries and llama.cpp's gguf-split write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace initrt {

/// "model-00001-of-00003.fp16.safetensors": "model-", "00001", "00003", ".fp16.safetensors".
struct PieceName {
  std::string before, digits, count_digits, after;
  std::uint64_t number = 0, count = 0;  ///< what the digits say; some programs count from 0

  /// What all pieces of one cut have in common.
  [[nodiscard]] auto cut() const { return std::tie(before, count_digits, after); }
  /// Whether the number is more than there are: it is no piece of that cut.
  [[nodiscard]] bool is_beyond() const { return number > count; }
  /// The name of another piece of the cut, with as many digits.
  [[nodiscard]] std::string name(std::uint64_t other) const;
};

/// The parts of such a name (or path), if it is one. Any number of digits up to six will do: not
/// every program writes five.
[[nodiscard]] std::optional<PieceName> parse_piece_name(std::string_view name);

}  // namespace initrt
