// The tokenizer of a SentencePiece model (tokenizer.model), which Lit-LLaMA, Lit-GPT and Meta keep
// beside their checkpoints. The SentencePiece library does the work; what reaches it is checked
// first (sentencepiece_model.h).
#pragma once

#include <memory>
#include <string_view>

#include "runtime/text/tokenizer.h"

namespace initrt {

/// A tokenizer from the content of a tokenizer.model. As Meta's and Lit-LLaMA's tokenizers do, it
/// puts BOS before a text's pieces, where the model has a BOS, and no EOS after them; special
/// tokens written out in the text ("<s>") stay text, as SentencePiece has it.
///
/// What tokens stand for is what the library's own decoding gives: spaces for U+2581, " ⁇ " for the
/// unknown token, nothing for control tokens. The library takes the first space off a whole text;
/// tokens here follow a prompt, so it stays.
/// @throws Error naming the byte or the part that is malformed or not known.
[[nodiscard]] std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view model_bytes);

}  // namespace initrt
