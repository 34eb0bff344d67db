// The member `model` of tokenizer.json: a vocabulary, and how a word is made of its tokens.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/text/json_node.h"

namespace initrt {

class TokenModel {
 public:
  virtual ~TokenModel() = default;

  /// Appends the ids of one word.
  /// @param word valid UTF-8
  virtual void encode(std::string_view word, std::vector<TokenId>& ids) const = 0;

  [[nodiscard]] std::optional<TokenId> id_of(std::string_view token) const;
  /// The token with this id, or nothing where there is none.
  [[nodiscard]] std::optional<std::string_view> token_of(TokenId id) const;
  /// One more than the largest id.
  [[nodiscard]] std::size_t id_end() const { return id_end_; }

 protected:
  /// Adds the tokens of an object of token to id. @throws Error naming what is malformed
  void read_vocabulary(const JsonNode& json);

  /// @param json names the vocabulary in errors
  /// @throws Error where the token or the id is that of another
  void add_token(std::string_view token, TokenId id, const JsonNode& json);

  /// Byte fallback: characters without a token are made of "<0x00>" to "<0xFF>" from now on.
  void use_byte_tokens();

  /// The ids of the bytes of a character, as `append(id)`, where byte fallback is used and all of
  /// them have one; false where not, and then nothing is appended.
  template <class Append>
  bool append_bytes(std::string_view character, const Append& append) const {
    for (const char byte : character) {
      if (byte_tokens_[static_cast<unsigned char>(byte)] < 0) return false;
    }
    for (const char byte : character) append(byte_tokens_[static_cast<unsigned char>(byte)]);
    return true;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::unordered_map<TokenId, std::string_view> tokens_;  ///< views of the keys of ids_
  std::size_t id_end_ = 0;
  std::array<TokenId, 256> byte_tokens_ = no_byte_tokens();  ///< -1 where there is none

  static constexpr std::array<TokenId, 256> no_byte_tokens() {
    std::array<TokenId, 256> none{};
    none.fill(-1);
    return none;
  }
};

/// The model of the type that the member `model` names; BPE where it names none.
/// @throws Error naming what is malformed or not known
[[nodiscard]] std::unique_ptr<TokenModel> make_token_model(const JsonNode& json);

}  // namespace initrt
