// The files of a tokenizer: which there are, and what those beside them say of its special tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/job/job.h"
#include "runtime/text/chat.h"
#include "runtime/text/tokenizer.h"

namespace initrt {

/// Most bytes of a tokenizer's file.
inline constexpr std::uint64_t kMaxTokenizerBytes = 256u << 20;

/// The job's tokenizer, or else what is in the model's directory: tokenizer.json before
/// tokenizer.model before vocab.json (which has merges.txt beside it). "" where there is none.
[[nodiscard]] std::string find_tokenizer(Files& files, const Job& job);

/// As find_tokenizer(). @throws Error where there is none
[[nodiscard]] std::string need_tokenizer(Files& files, const Job& job);

struct TokenizerFromFiles {
  std::unique_ptr<Tokenizer> tokenizer;
  std::string end_text;  ///< the token that its files say ends a text, "" where they do not
};

/// The tokenizer of a file, by its name: *.model is SentencePiece's, vocab.json has merges.txt
/// beside it, all else is a tokenizer.json. @param model_type of the model's config, or ""
/// @throws Error naming the file
[[nodiscard]] TokenizerFromFiles read_tokenizer(Files& files, const std::string& path,
                                                const std::string& model_type);

/// The special tokens' texts that the files beside a tokenizer's name ("eos_token", ...): those of
/// tokenizer_config.json before those of special_tokens_map.json.
[[nodiscard]] SpecialTexts special_texts_beside(Files& files, const std::string& tokenizer);

/// The text of eos_token among them.
[[nodiscard]] std::optional<std::string> end_text_beside(Files& files,
                                                         const std::string& tokenizer);

/// The id of a token whose text is `text`: the tokenizer's, or one that the files beside it add to
/// it. Nothing where there is no such token.
[[nodiscard]] std::optional<TokenId> special_token_id(Files& files, const std::string& path,
                                                      const Tokenizer& tokenizer,
                                                      const std::string& text);

}  // namespace initrt
