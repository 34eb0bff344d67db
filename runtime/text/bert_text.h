// What BERT's tokenizers do to a text before it is cut (the normalizer BertNormalizer).
#pragma once

#include <string>
#include <string_view>

namespace initrt {

/// All texts are valid UTF-8.

/// Without control characters, and with a space for each character of white space.
[[nodiscard]] std::string without_controls(std::string_view text);

/// With a space before and after each CJK ideograph.
[[nodiscard]] std::string with_spaced_ideographs(std::string_view text);

/// Without the marks of a decomposed text that take no space.
[[nodiscard]] std::string without_marks(std::string_view text);

}  // namespace initrt
