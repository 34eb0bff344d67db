#include "runtime/text/jinja/call.h"

#include <algorithm>

#include "runtime/text/jinja/operators.h"
#include "sharding/error.h"

namespace initrt::jinja {

std::vector<std::optional<Value>> bind_all(const Arguments& arguments, std::string_view function,
                                           const std::string_view* names, std::size_t count) {
  if (arguments.positional.size() > count) {
    fail("{}() takes at most {} arguments, {} are given", function, count,
         arguments.positional.size());
  }
  std::vector<std::optional<Value>> bound(count);
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (const auto& [name, value] : arguments.named) {
    const std::string_view* found = std::find(names, names + count, name);
    if (found == names + count) fail("{}() has no argument '{}'", function, name);
    std::optional<Value>& place = bound[static_cast<std::size_t>(found - names)];
    if (place) fail("{}() is given the argument '{}' twice", function, name);
    place = value;
  }
  return bound;
}

void expect_no_arguments(const Arguments& arguments, std::string_view function) {
  (void)bind_all(arguments, function, nullptr, 0);
}

std::int64_t int_of(const std::optional<Value>& value, std::string_view name,
                    std::int64_t fallback) {
  if (!value) return fallback;
  if (const auto number = as_int(*value)) return *number;
  expect_defined(*value);
  fail("the argument '{}' must be an int, but is a {}", name, type_name(*value));
}

bool flag_of(const std::optional<Value>& value, bool fallback) {
  return value ? truth(*value) : fallback;
}

std::string string_of(const std::optional<Value>& value, std::string_view name,
                      std::string_view fallback) {
  if (!value || value->is<None>()) return std::string(fallback);
  if (const Text* text = value->get<Text>()) return (*text)->text;
  expect_defined(*value);
  fail("the argument '{}' must be a str, but is a {}", name, type_name(*value));
}

const Value& given(const std::optional<Value>& value, std::string_view name) {
  if (!value) fail("the argument '{}' is missing", name);
  return *value;
}

Value undefined(std::string why) {
  return Undefined{std::make_shared<const std::string>(std::move(why))};
}

Value unsafe_attribute(const Value& object, std::string_view name) {
  return undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name(object)));
}

}  // namespace initrt::jinja
