// Members, items and slices of values, and the methods of texts, dicts and lists.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/text/jinja/machine.h"

namespace initrt::jinja {

/// `object.name`: a method or attribute before an item of that name; undefined where there is none.
/// @throws Error of what is undefined itself
[[nodiscard]] Value attribute_of(Machine& machine, const Value& object, std::string_view name);

/// `object[key]`: an item before an attribute.
[[nodiscard]] Value item_of(Machine& machine, const Value& object, const Value& key);

/// `object[start:stop:step]`; each an int or None.
[[nodiscard]] Value slice_of(Machine& machine, const Value& object, const Value& start,
                             const Value& stop, const Value& step);

/// The method or attribute that Python's type has.
[[nodiscard]] std::optional<Value> method_of(Machine& machine, const Value& object,
                                             std::string_view name);
[[nodiscard]] std::optional<Value> text_method(const Text& self, std::string_view name);
[[nodiscard]] std::optional<Value> container_method(const Value& self, std::string_view name);

}  // namespace initrt::jinja
