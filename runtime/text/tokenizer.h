// Text to token ids and back. One implementation reads the structure of Hugging Face's
// tokenizer.json; vocabularies in GGUF metadata are first put into that form. The other reads
// SentencePiece models (sentencepiece.h).
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace initrt {

using TokenId = std::int32_t;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text` as the reference tokenizer gives them, with the special tokens that its
  /// post-processor adds (a BOS, for instance). Special tokens written out in the text become
  /// their ids (not so in a SentencePiece model's). What is not UTF-8 is read as U+FFFD, as
  /// Python's errors="replace" does. Several threads may call it at once.
  [[nodiscard]] virtual std::vector<TokenId> encode(std::string_view text) const = 0;

  /// Ids of a text that has its special tokens written out, such as a chat template's: nothing is
  /// added, and all special tokens in it become their ids, a SentencePiece model's control pieces
  /// too. As transformers' encode() with add_special_tokens=False.
  [[nodiscard]] virtual std::vector<TokenId> encode_bare(std::string_view text) const = 0;

  /// The bytes a token stands for; may be part of a UTF-8 character. Empty for special tokens
  /// and for ids outside the vocabulary (padding rows of the embedding).
  [[nodiscard]] virtual std::string token_bytes(TokenId id) const = 0;

  /// One more than the largest id, which is what an embedding needs rows for.
  [[nodiscard]] virtual std::size_t vocabulary() const = 0;

  /// The id of the token that the vocabulary spells so: a special token's text, or a piece in the
  /// vocabulary's own spelling of bytes and spaces.
  [[nodiscard]] virtual std::optional<TokenId> token_id(std::string_view) const {
    return std::nullopt;
  }

  /// The token that ends a text, where the tokenizer's own file says; a tokenizer.json does not.
  [[nodiscard]] virtual std::optional<TokenId> end_token() const { return std::nullopt; }
};

/// A tokenizer from the parsed content of a tokenizer.json: byte-level BPE (GPT-2, Llama 3, Qwen,
/// SmolLM, Falcon), BPE with U+2581 for spaces and bytes for what has no token (Llama 2, Mistral,
/// Gemma, Phi-3), Unigram (T5), or WordPiece (BERT). Its `truncation` and `padding` are not
/// applied: they are settings of the program that wrote the file.
/// @throws Error naming the part (model type, pre-tokenizer, ...) that is malformed or not known.
[[nodiscard]] std::unique_ptr<Tokenizer> make_tokenizer(const nlohmann::json& tokenizer_json);

/// GGUF's `tokenizer.ggml.*` metadata in the form of a tokenizer.json that the Hugging Face
/// libraries load as it is. @throws Error naming the model or pre-tokenizer kind not known.
[[nodiscard]] nlohmann::json tokenizer_json_from_gguf(const nlohmann::json& gguf_metadata);

/// Joins token bytes into text without ever giving out half a UTF-8 character.
class Utf8Stream {
 public:
  /// Adds bytes; returns what is now complete. Bytes that can begin no valid character come out
  /// as U+FFFD.
  std::string push(std::string_view bytes);
  /// What was left incomplete, as U+FFFD, or nothing.
  std::string finish();

 private:
  std::string pending_;
};

}  // namespace initrt
