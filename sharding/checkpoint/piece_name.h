// Names of the pieces of a checkpoint that was split into files: prefix-00001-of-00003.suffix, as
// Hugging Face's libraries and llama.cpp's gguf-split write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace initrt {

struct PieceName {
  std::string prefix;  ///< up to and without "-00001"
  std::uint64_t number = 0, count = 0;
};

/// The parts of such a name (or path), if it is one. @param suffix with its dot
[[nodiscard]] std::optional<PieceName> parse_piece_name(std::string_view name,
                                                        std::string_view suffix);

/// Whether the names are all the pieces of one checkpoint, and nothing else.
[[nodiscard]] bool are_all_pieces(const std::vector<std::string>& names, std::string_view suffix);

}  // namespace initrt
