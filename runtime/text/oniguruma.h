// Regular expressions in Oniguruma's Ruby syntax, which tokenizer.json has, in PCRE2's.
#pragma once

#include <string>
#include <string_view>

namespace initrt {

/// The pattern in PCRE2's syntax, for its options UTF, UCP and MULTILINE; with the characters that
/// PCRE2's Unicode version lacks.
/// @param where names the pattern in errors
/// @throws Error where the same characters mean something else in PCRE2, and cannot be rewritten
[[nodiscard]] std::string pcre2_from_oniguruma(std::string_view pattern, std::string_view where);

}  // namespace initrt
