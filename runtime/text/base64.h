// Base64 (RFC 4648), as vocabularies write the bytes of tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace initrt {

/// The bytes, or nothing where the text is not base64 with its padding.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace initrt
