// A model's tokenizer, and the tokens that end an answer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/start/open_model.h"
#include "runtime/text/chat.h"
#include "runtime/text/tokenizer.h"

namespace initrt {

struct OpenText {
  std::unique_ptr<Tokenizer> tokenizer;
  std::string file;      ///< the tokenizer's; "" where it is in a GGUF file's metadata
  SpecialTexts special;  ///< as the tokenizer's file itself has them; for most it does not
  /// The model's, and the one that the files beside the tokenizer name; else the tokenizer's own.
  std::vector<TokenId> end_tokens;
};

/// The tokenizer: the one asked for, or what the checkpoint carries: a GGUF file in its metadata,
/// others in files beside them (find_tokenizer()).
[[nodiscard]] OpenText open_text(Files& files, const ModelOptions& options, const OpenModel& model);

}  // namespace initrt
