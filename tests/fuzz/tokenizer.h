// What a tokenizer made of any file must hold.
#pragma once

#include "runtime/text/json_node.h"
#include "runtime/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

namespace initrt::fuzz {

/// A finding unless the tokenizer gives a fixed text ids of its vocabulary, and bytes for each.
inline void expect_invariants(const Tokenizer& tokenizer) {
  // Words, digits, spaces, line ends, a special token, what NFC composes, other scripts, an emoji
  // joined of several, a control character, and bytes that are not UTF-8.
  constexpr std::string_view kText =
      "hello  Hello's 12345 <s>\r\n\n\t x=f(a_b);e\u0301\u00C5 \u4F60\u597D "
      "\u0928\u092E\u0938\u094D\u0924\u0947 \U0001F468\u200D\U0001F469\u200D\U0001F467\x01\xFF\xE4";
  const std::size_t vocabulary = tokenizer.vocabulary();
  if (vocabulary > static_cast<std::size_t>(kTokenIdLimit)) finding("a vocabulary past the limit");
  std::string decoded;
  for (const TokenId id : tokenizer.encode(kText)) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary) {
      finding(fmt::format("token id {} of a vocabulary of {}", id, vocabulary));
    }
    decoded += tokenizer.token_bytes(id);
  }
  Utf8Stream stream;
  if (stream.push(decoded) + stream.finish() != stream.push(decoded) + stream.finish()) {
    finding("a stream that remembers what it has finished");
  }
  for (const TokenId id : {-1, static_cast<TokenId>(vocabulary)}) {
    if (!tokenizer.token_bytes(id).empty()) finding("bytes of an id outside the vocabulary");
  }
}

}  // namespace initrt::fuzz
