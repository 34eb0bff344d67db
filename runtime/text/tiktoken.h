// Vocabularies in tiktoken's form: a token a line, its bytes in base64 and its rank. Meta ships
// Llama 3's and 4's so (named tokenizer.model, as SentencePiece's), Moonshot Kimi's
// (tiktoken.model). How text is cut and which special tokens follow is not in the file but in the
// models' programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/text/made_tokenizer.h"

namespace initrt {

/// Whether a file is such a vocabulary, by its first line.
[[nodiscard]] bool is_tiktoken(std::string_view content);

struct TiktokenFiles {
  std::string name;        ///< of the vocabulary's file, without its folder
  std::string vocabulary;  ///< what it holds
  nlohmann::json config = nlohmann::json::object();  ///< tokenizer_config.json
  std::string model_type;                            ///< of the model's config, or ""
};

/// The tokenizer that the model's own program makes of these files: Kimi's for a tiktoken.model,
/// or where tokenizer_config.json names its class; else Llama 4's for 200,000 tokens and more; else
/// Llama 3's. Special tokens that the config's added_tokens_decoder names have that name.
/// @throws Error naming the line that is malformed, or the config's member
[[nodiscard]] VocabTokenizer tokenizer_json_from_tiktoken(const TiktokenFiles& files);

}  // namespace initrt
