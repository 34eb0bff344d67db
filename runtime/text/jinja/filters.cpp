#include "runtime/text/jinja/filters.h"

#include <algorithm>
#include <charconv>

#include "runtime/text/jinja/attributes.h"
#include "runtime/text/jinja/code_points.h"

namespace initrt::jinja {

Filter find_filter(std::string_view name) {
  for (const auto filters :
       {text_filters(), list_filters(), selecting_filters(), value_filters()}) {
    const auto found = std::find_if(filters.begin(), filters.end(),
                                    [&](const NamedFilter& known) { return known.name == name; });
    if (found != filters.end()) return found->filter;
  }
  return nullptr;
}

Value attribute_at(Machine& machine, const Value& item, const std::optional<Value>& attribute) {
  if (!attribute || attribute->is<None>()) return item;
  const Text* path = attribute->get<Text>();
  if (path == nullptr) return item_of(machine, item, *attribute);
  Value value = item;
  for (std::string_view rest = (*path)->text;;) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    std::int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number = error == std::errc() && end == part.data() + part.size();
    value = item_of(machine, value, number ? Value(index) : machine.heap.text(std::string(part)));
    if (dot == rest.size()) return value;
    rest.remove_prefix(dot + 1);
  }
}

Value without_case(Machine& machine, const Value& value) {
  const Text* text = value.get<Text>();
  return text == nullptr ? value : machine.heap.text(to_lower((*text)->text));
}

}  // namespace initrt::jinja
