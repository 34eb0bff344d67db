// Jinja's filters and tests, those of transformers among them.
#pragma once

#include <span>
#include <string_view>

#include "runtime/text/jinja/machine.h"

namespace initrt::jinja {

/// @param input what stands before the sign |
using Filter = Value (*)(Machine& machine, const Value& input, const Arguments& arguments);
using Test = bool (*)(Machine& machine, const Value& input, const Arguments& arguments);

/// Null where there is none of that name.
[[nodiscard]] Filter find_filter(std::string_view name);
[[nodiscard]] Test find_test(std::string_view name);

struct NamedFilter {
  std::string_view name;
  Filter filter;
};
[[nodiscard]] std::span<const NamedFilter> text_filters();
[[nodiscard]] std::span<const NamedFilter> list_filters();
[[nodiscard]] std::span<const NamedFilter> selecting_filters();
[[nodiscard]] std::span<const NamedFilter> value_filters();

/// The value that "a.0.b" leads to from an item; the item itself where no attribute is named.
/// @param attribute a text or an int
[[nodiscard]] Value attribute_at(Machine& machine, const Value& item,
                                 const std::optional<Value>& attribute);

/// As Jinja compares where case does not count: a text in lower case, all else as it is.
[[nodiscard]] Value without_case(Machine& machine, const Value& value);

}  // namespace initrt::jinja
