// Tokens that are found in the text itself before anything else cuts it: special tokens such as
// <|im_start|>, and others that were added to a vocabulary after training.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/text/json_node.h"
#include "runtime/text/prefixes.h"
#include "runtime/text/token_model.h"

namespace initrt {

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  ///< only where no letter, digit or the like is next to it
  bool lstrip = false;       ///< takes the whitespace in front of it with it
  bool rstrip = false;       ///< takes the whitespace behind it with it
  bool normalized = false;   ///< searched for in the normalized text, in its normalized form
  bool special = false;      ///< stands for no text of its own
};

/// The tokens of the member `added_tokens`; empty where it is absent.
/// @throws Error naming what is malformed, an id that another token has, or a token that has
///   another id in the model's vocabulary
[[nodiscard]] std::vector<AddedToken> read_added_tokens(const std::optional<JsonNode>& json,
                                                        const TokenModel& model);

/// Finds tokens of one kind (normalized or not) in a text: at each place the longest one.
class AddedTokenFinder {
 public:
  /// @param tokens those to find; `content` is what is searched for
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  /// Calls, in text order, `on_text` for what lies between tokens and `on_token` for tokens.
  /// @param text valid UTF-8
  void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
             const std::function<void(TokenId)>& on_token) const;

 private:
  [[nodiscard]] const AddedToken* longest_at(std::string_view text) const;

  std::array<bool, 256> begins_{};  ///< bytes that one of them begins with
  Prefixes<AddedToken> tokens_;
};

}  // namespace initrt
