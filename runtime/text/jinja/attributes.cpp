#include "runtime/text/jinja/attributes.h"

#include <algorithm>

#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

bool has_index(const Value& value) {
  const List* list = value.get<List>();
  return list != nullptr && (*list)->flavour <= Flavour::Range;
}

/// The character or item at a place that may be counted from the end; nothing beyond the ends.
std::optional<Value> item_at(Machine& machine, const Value& object, std::int64_t index) {
  const bool is_text = object.is<Text>();
  if (!is_text && !has_index(object)) return std::nullopt;
  const auto count = static_cast<std::int64_t>(*length(object));
  if (index < 0) index += count;
  if (index < 0 || index >= count) return std::nullopt;
  const auto place = static_cast<std::size_t>(index);
  if (!is_text) return object.as<List>()->items[place];
  const TextObject& text = *object.as<Text>();
  const std::size_t begin = byte_of_code_point(text.text, text.length, place);
  const std::size_t end = byte_of_code_point(text.text, text.length, place + 1);
  machine.heap.step(1 + (text.length == text.text.size() ? 0 : end / 64));
  return machine.heap.text(text.text.substr(begin, end - begin));
}

std::optional<Value> item(Machine& machine, const Value& object, const Value& key) {
  if (const Dict* dict = object.get<Dict>()) {
    const Value* found = (*dict)->find(key);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  const auto index = as_int(key);
  return index ? item_at(machine, object, *index) : std::nullopt;
}

Value missing(Machine& machine, const Value& object, const Value& key) {
  const std::string name = key.is<Text>() ? "attribute " + to_repr(machine.heap, key)
                                          : "element " + to_repr(machine.heap, key);
  return undefined(object.is<None>()
                       ? fmt::format("'None' has no {}", name)
                       : fmt::format("'{} object' has no {}", type_name(object), name));
}

/// The places of a slice, as Python's slice.indices().
struct Places {
  std::int64_t start, stop, step;
};

Places places_of(const Value& start, const Value& stop, const Value& step, std::int64_t count) {
  const auto number = [](const Value& value) -> std::optional<std::int64_t> {
    if (value.is<None>()) return std::nullopt;
    if (const auto whole = as_int(value)) return whole;
    expect_defined(value);
    fail("slice indices must be integers or None, not {}", type_name(value));
  };
  const std::int64_t by = number(step).value_or(1);
  if (by == 0) fail("slice step cannot be zero");
  const std::int64_t lowest = by < 0 ? -1 : 0, highest = by < 0 ? count - 1 : count;
  const auto clamped = [&](std::optional<std::int64_t> at, std::int64_t fallback) {
    if (!at) return fallback;
    return std::clamp(*at < 0 ? std::max(*at, -count - 1) + count : *at, lowest, highest);
  };
  return {clamped(number(start), by < 0 ? highest : lowest),
          clamped(number(stop), by < 0 ? lowest : highest), std::clamp(by, -count - 1, count + 1)};
}

Value slice_of_text(Machine& machine, const TextObject& text, const Places& at) {
  if (at.step == 1) {
    const std::size_t begin =
        byte_of_code_point(text.text, text.length, static_cast<std::size_t>(at.start));
    const std::size_t end =
        byte_of_code_point(text.text, text.length, static_cast<std::size_t>(at.stop));
    return machine.heap.text(text.text.substr(begin, end > begin ? end - begin : 0));
  }
  const List characters = items_of(machine.heap, Text(&text, [](const TextObject*) {}));
  std::string picked;
  for (std::int64_t i = at.start; at.step > 0 ? i < at.stop : i > at.stop; i += at.step) {
    picked += characters->items[static_cast<std::size_t>(i)].as<Text>()->text;
  }
  return machine.heap.text(std::move(picked));
}

}  // namespace

Value attribute_of(Machine& machine, const Value& object, std::string_view name) {
  expect_defined(object);
  if (auto method = method_of(machine, object, name)) return *method;
  if (const Dict* dict = object.get<Dict>()) {
    if (const Value* found = (*dict)->find(name)) return *found;
  }
  return missing(machine, object, machine.heap.text(std::string(name)));
}

Value item_of(Machine& machine, const Value& object, const Value& key) {
  expect_defined(object);
  if (auto found = item(machine, object, key)) return *found;
  if (const Text* name = key.get<Text>()) {
    if (auto method = method_of(machine, object, (*name)->text)) return *method;
  }
  return missing(machine, object, key);
}

Value slice_of(Machine& machine, const Value& object, const Value& start, const Value& stop,
               const Value& step) {
  expect_defined(object);
  const bool is_text = object.is<Text>();
  if (!is_text && !has_index(object)) {
    return undefined(fmt::format("a '{}' has no slices", type_name(object)));
  }
  const Places at =
      places_of(start, stop, step, static_cast<std::int64_t>(length(object).value_or(0)));
  if (is_text) return slice_of_text(machine, *object.as<Text>(), at);
  const ListObject& list = *object.as<List>();
  std::vector<Value> items;
  for (std::int64_t i = at.start; at.step > 0 ? i < at.stop : i > at.stop; i += at.step) {
    items.push_back(list.items[static_cast<std::size_t>(i)]);
  }
  return machine.heap.list(std::move(items), list.flavour);
}

std::optional<Value> method_of(Machine& machine, const Value& object, std::string_view name) {
  if (name.starts_with('_')) return unsafe_attribute(object, name);
  if (const Text* text = object.get<Text>()) return text_method(*text, name);
  if (const Namespace* space = object.get<Namespace>()) {
    const Value* found = (*space)->find(name);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  if (const Host* host = object.get<Host>()) return (*host)->attribute(machine, name);
  return container_method(object, name);
}

}  // namespace initrt::jinja
