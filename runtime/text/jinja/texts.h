// Work on texts that methods and filters share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/jinja/heap.h"

namespace initrt::jinja {

/// str.split() or, `from_end`, str.rsplit().
/// @param separator nothing or None: runs of white space
/// @param most how many times it is split; below 0: as often as it can be
[[nodiscard]] Value split_text(Heap& heap, std::string_view text,
                               const std::optional<Value>& separator, std::int64_t most,
                               bool from_end);

[[nodiscard]] Value split_lines(Heap& heap, std::string_view text, bool keep_ends);

/// std::string_view::rfind(), whose steps are counted: it may take as many as both texts have bytes
/// together, multiplied.
[[nodiscard]] std::size_t find_last_text(Heap& heap, std::string_view text, std::string_view part);

/// str.replace(). @param most below 0: all
[[nodiscard]] std::string replaced(Heap& heap, std::string_view text, std::string_view old,
                                   std::string_view replacement, std::int64_t most);

/// Filled up to a width. @param align '<', '>' or '^', where the text goes
[[nodiscard]] std::string justified(Heap& heap, const TextObject& text, std::int64_t width,
                                    std::string_view fill, char align);

/// str.title()
[[nodiscard]] std::string title_case(std::string_view text);

[[nodiscard]] bool is_upper_text(std::string_view text);  ///< str.isupper()
[[nodiscard]] bool is_lower_text(std::string_view text);  ///< str.islower()

}  // namespace initrt::jinja
