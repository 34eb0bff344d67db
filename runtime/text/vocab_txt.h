// A WordPiece tokenizer as BERT's older repositories have it: vocab.txt and no tokenizer.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "runtime/text/made_tokenizer.h"

namespace initrt {

/// The tokenizer that transformers' BertTokenizer makes of the files.
/// @param vocabulary vocab.txt: a token a line, its id the line's number from 0
/// @param config tokenizer_config.json, or an empty object
/// @throws Error naming the line or the config's member that is malformed
[[nodiscard]] VocabTokenizer tokenizer_json_from_vocab_txt(std::string_view vocabulary,
                                                           const nlohmann::json& config);

}  // namespace initrt
