// The special tokens that tokenizer.json puts around a text, such as a BOS.
#pragma once

#include <optional>
#include <vector>

#include "runtime/text/json_node.h"

namespace initrt {

struct PostProcessor {
  std::vector<TokenId> before;  ///< ids in front of the text's own
  std::vector<TokenId> after;   ///< ids behind them
};

/// From the member `post_processor`: absent, ByteLevel (which changes offsets only),
/// TemplateProcessing (its form for a single text), RobertaProcessing, BertProcessing, or a
/// Sequence of those.
/// @throws Error naming what is malformed or not known
[[nodiscard]] PostProcessor make_post_processor(const std::optional<JsonNode>& json);

}  // namespace initrt
