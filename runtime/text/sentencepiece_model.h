// What is checked of a SentencePiece model before the library sees it. Version 0.1.97 trusts more
// of a model than it should: a damaged normalization table or user-defined pieces nested deeper
// than its buffers make it read out of bounds, and millions of empty entries cost it a hundred
// times their bytes.
#pragma once

#include <string>
#include <string_view>

namespace initrt {

/// The parts of a serialized ModelProto (sentencepiece_model.proto) that encoding needs: pieces,
/// trainer_spec and normalizer_spec, as they are. Self-tests, for instance, are left out.
/// @throws Error naming the byte where it is no such message, holds more than any real model does,
///         or is of a kind not known here.
[[nodiscard]] std::string checked_sentencepiece_model(std::string_view model_bytes);

/// A normalizer_spec's precompiled_charsmap: the length of a Darts-clone double array, the array,
/// and the replacements it points into, each ended by a zero byte.
/// @throws Error where a search in it would leave the array or find more than the library keeps.
void check_charsmap(std::string_view charsmap);

}  // namespace initrt
