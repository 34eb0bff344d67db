// A template's source as tokens: text, and the names, constants and signs of its tags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace initrt::jinja {

struct Token {
  enum class Type : std::uint8_t {
    Data,        ///< text outside of tags, with what white space control leaves of it
    BlockBegin,  ///< {%
    BlockEnd,
    VariableBegin,  ///< {{
    VariableEnd,
    Name,
    String,  ///< without quotes and escapes
    Integer,
    Float,
    Sign,
    End,  ///< of the source
  };

  Type type = Type::End;
  std::string text;
  int line = 1;
};

/// Most bytes of a source that are read.
inline constexpr std::size_t kMaxSourceBytes = 1u << 20;

/// The tokens, the last of which is an End. White space control is that of transformers:
/// trim_blocks and lstrip_blocks are on, the line end at the end of the source goes.
/// @param source valid UTF-8
/// @throws Error with the line of what is not closed or not known
[[nodiscard]] std::vector<Token> tokens_of(std::string_view source);

}  // namespace initrt::jinja
