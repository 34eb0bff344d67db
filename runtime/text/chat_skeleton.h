// A Jinja template's source with what does not change its output taken out, so that the many ways
// of spelling the same template can be recognised as one. Nothing is run.
#pragma once

#include <string>
#include <string_view>

namespace initrt {

/// The skeleton of `source`: statements as {%...%} and output as {{...}}, where
/// - comments are gone, and white space as the environment of transformers takes it out
///   (trim_blocks, lstrip_blocks, and the signs - and + of tags);
/// - text between tags is output of a constant, and output that follows output is joined by +;
/// - strings are in single quotes, with their escapes resolved, and constants that are added up are
///   one; what could end a string (' and \) is escaped;
/// - in tags, a space stands only between two words; `a.role` and `a.content` are `a['role']` and
///   `a['content']`, and `.strip()` is `|trim`.
/// Not longer than twice the source and some bytes for each tag.
/// @throws Error with the byte at which a tag or a string opens that nothing closes
[[nodiscard]] std::string skeleton_of(std::string_view source);

/// The text of a constant's inside, as it stands in a skeleton.
[[nodiscard]] std::string unescaped(std::string_view inside);

}  // namespace initrt
