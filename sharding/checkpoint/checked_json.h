// JSON as a checkpoint's small files hold it, with what a plain parser lets pass made an error:
// keys given twice (which one counts differs between programs) and nesting without end. Numbers may
// be NaN, Infinity and -Infinity, as Python writes them: whoever needs such a value refuses it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "sharding/checkpoint/files.h"

namespace initrt {

/// Parses `text`; `where` (a path) opens every error.
/// @throws Error with the byte where the text is not JSON, a key repeats, or nesting passes 64.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, std::string_view where);

/// The same, with the members of objects in the order of the text.
[[nodiscard]] nlohmann::ordered_json parse_ordered_json(std::string_view text,
                                                        std::string_view where);

/// The JSON object in the file at `path`, which has at most `limit` bytes.
/// @throws Error as parse_json(), and where the file cannot be read or holds no object.
[[nodiscard]] nlohmann::json read_json_object(Files& files, const std::string& path,
                                              std::uint64_t limit = 64ull << 20);

/// Indented text that parse_json() gives the same value of, numbers that are not finite too.
[[nodiscard]] std::string json_text(nlohmann::ordered_json value);

/// `text` in double quotes for an error line: all but printable ASCII escaped, bytes that are not
/// UTF-8 replaced, cut after 200 bytes. Names in a hostile file can hold anything, a terminal's
/// control sequences too.
[[nodiscard]] std::string quote(std::string_view text);

/// The same without the quotes, for a table.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace initrt
