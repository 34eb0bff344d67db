// Values as text: what str() and repr() of Python give, and JSON as transformers' tojson writes it.
#pragma once

#include <optional>
#include <string>

#include "runtime/text/jinja/heap.h"

namespace initrt::jinja {

/// What a value prints as: None, True, 1.5, [1, 'a'].
/// @throws Error past the limits, or for what has no text of its own (a namespace, a function)
[[nodiscard]] std::string to_text(Heap& heap, const Value& value);

/// As inside a list: strings in quotes.
[[nodiscard]] std::string to_repr(Heap& heap, const Value& value);

/// The shortest text that gives the same double, as Python writes it.
[[nodiscard]] std::string float_text(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  ///< of each level
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};

/// json.dumps(). @throws Error for what is not JSON
[[nodiscard]] std::string to_json(Heap& heap, const Value& value, const JsonStyle& style);

}  // namespace initrt::jinja
