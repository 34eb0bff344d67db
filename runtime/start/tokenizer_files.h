// The files of a tokenizer: which there are, and what those beside them say of its special tokens.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "runtime/start/options.h"
#include "runtime/text/chat.h"
#include "runtime/text/tokenizer.h"
#include "sharding/checkpoint/files.h"

namespace initrt {

/// Most bytes of a tokenizer's file.
inline constexpr std::uint64_t kMaxTokenizerBytes = 256u << 20;

/// The files that hold a tokenizer, in the order in which they are looked for. vocab.json has
/// merges.txt beside it.
inline constexpr std::array kTokenizerNames = {"tokenizer.json", "tokenizer.model", "tekken.json",
                                               "vocab.json",     "tiktoken.model",  "vocab.txt"};

/// The tokenizer that is asked for, or else the first of kTokenizerNames in the model's directory.
/// "" where there is none.
[[nodiscard]] std::string find_tokenizer(Files& files, const ModelOptions& options);

/// As find_tokenizer(). @throws Error where there is none
[[nodiscard]] std::string need_tokenizer(Files& files, const ModelOptions& options);

struct TokenizerFromFiles {
  std::unique_ptr<Tokenizer> tokenizer;
  SpecialTexts special;  ///< "bos_token" and "eos_token" as the file itself has them
};

/// The tokenizer of a file: vocab.json and vocab.txt by their names, all else by its content, which
/// is tiktoken's lines, JSON (tokenizer.json, tekken.json), or else SentencePiece's.
/// @param model_type of the model's config, or ""
/// @throws Error naming the file
[[nodiscard]] TokenizerFromFiles read_tokenizer(Files& files, const std::string& path,
                                                const std::string& model_type);

/// The special tokens' texts that the files beside a tokenizer's name ("eos_token", ...): those of
/// tokenizer_config.json before those of special_tokens_map.json.
[[nodiscard]] SpecialTexts special_texts_beside(Files& files, const std::string& tokenizer);

/// The id of a token whose text is `text`: the tokenizer's, or one that the files beside it add to
/// it. Nothing where there is no such token.
[[nodiscard]] std::optional<TokenId> special_token_id(Files& files, const std::string& path,
                                                      const Tokenizer& tokenizer,
                                                      const std::string& text);

}  // namespace initrt
