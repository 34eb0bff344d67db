// str.format() and the operator % of texts.
#pragma once

#include "runtime/text/jinja/heap.h"

namespace initrt::jinja {

/// str.format(): {}, {0}, {name}, conversions !r and !s, and for texts and numbers the
/// specifications [[fill]align][sign][0][width][,][.precision][type].
[[nodiscard]] std::string format_text(Heap& heap, std::string_view text,
                                      const Arguments& arguments);

/// `text % values`: %s, %r, %d, %i, %f, %x, %% with width and precision; a tuple holds several
/// values, a dict those of %(name)s.
[[nodiscard]] Value percent_format(Heap& heap, const TextObject& text, const Value& values);

}  // namespace initrt::jinja
