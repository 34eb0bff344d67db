// The byte-level alphabet of GPT-2: each byte stands as one printable character, so that any text
// can be written in a vocabulary of strings (byte 0x20, a space, is written U+0120, "Ġ").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace initrt {

/// Each byte as its character, in UTF-8.
[[nodiscard]] std::string to_byte_level(std::string_view bytes);

/// The bytes that the characters stand for, or nothing where one of them stands for none.
[[nodiscard]] std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace initrt
