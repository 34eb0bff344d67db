#include "runtime/text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/heap.h"
#include "sharding/error.h"
#include "sharding/overload.h"

namespace initrt::jinja {
namespace {

// Beside the content: the object, its count of owners, and what the allocator adds.
constexpr std::size_t kObjectBytes = 96;
constexpr std::size_t kEntryBytes = 96;  // of a dict's index

int depth_above(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, depth_of(item));
  return depth + 1;
}

}  // namespace

TextObject::TextObject(Heap& heap, std::string content, bool is_markup)
    : text(std::move(content)),
      length(count_code_points(text)),
      markup(is_markup),
      charge(heap, kObjectBytes + text.capacity()) {}

ListObject::ListObject(Heap& heap, std::vector<Value> values, Flavour kind)
    : items(std::move(values)),
      flavour(kind),
      depth(depth_above(items)),
      charge(heap, kObjectBytes + items.capacity() * sizeof(Value)) {}

DictObject::DictObject(Heap& heap, std::vector<Entry> pairs) : charge(heap, kObjectBytes) {
  entries.reserve(pairs.size());
  for (Entry& pair : pairs) {
    const auto key = key_text(pair.first);
    if (!key) fail("a {} cannot be the key of a dict", type_name(pair.first));
    depth = std::max(depth, depth_of(pair.second));
    const auto [place, is_new] = index.try_emplace(*key, entries.size());
    if (is_new) {
      charge.add(sizeof(Entry) + kEntryBytes + key->size());
      entries.push_back(std::move(pair));
    } else {
      entries[place->second].second = std::move(pair.second);
    }
  }
  ++depth;
}

const Value* DictObject::find(const Value& key) const {
  const auto text = key_text(key);
  if (!text) return nullptr;
  const auto place = index.find(*text);
  return place == index.end() ? nullptr : &entries[place->second].second;
}

const Value* DictObject::find(std::string_view key) const {
  const auto place = index.find("s" + std::string(key));
  return place == index.end() ? nullptr : &entries[place->second].second;
}

Value* NamespaceObject::find(std::string_view name) {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const auto& attribute) { return attribute.first == name; });
  return found == attributes.end() ? nullptr : &found->second;
}

Value HostObject::call(Machine&, Arguments&) const { fail("'{}' object is not callable", type()); }

std::string_view type_name(const Value& value) {
  constexpr std::string_view kFlavours[] = {"list",        "tuple",      "range",    "dict_keys",
                                            "dict_values", "dict_items", "generator"};
  return std::visit(
      Overload{
          [](const Undefined&) -> std::string_view { return "Undefined"; },
          [](None) -> std::string_view { return "NoneType"; },
          [](bool) -> std::string_view { return "bool"; },
          [](std::int64_t) -> std::string_view { return "int"; },
          [](double) -> std::string_view { return "float"; },
          [](const Text&) -> std::string_view { return "str"; },
          [&](const List& list) { return kFlavours[static_cast<std::size_t>(list->flavour)]; },
          [](const Dict&) -> std::string_view { return "dict"; },
          [](const Namespace&) -> std::string_view { return "Namespace"; },
          [](const Host& host) { return host->type(); },
      },
      value.any());
}

std::optional<std::string> key_text(const Value& key) {
  if (const Text* text = key.get<Text>()) return "s" + (*text)->text;
  if (key.is<None>()) return "n";
  if (const bool* flag = key.get<bool>()) return *flag ? "i1" : "i0";
  if (const auto* number = key.get<std::int64_t>()) return "i" + std::to_string(*number);
  if (const double* number = key.get<double>()) {
    const bool whole = std::trunc(*number) == *number && std::abs(*number) < 9e15;
    return whole ? fmt::format("i{}", static_cast<std::int64_t>(*number))
                 : fmt::format("f{}", *number);
  }
  return std::nullopt;
}

int depth_of(const Value& value) {
  if (const List* list = value.get<List>()) return (*list)->depth;
  if (const Dict* dict = value.get<Dict>()) return (*dict)->depth;
  if (const Namespace* space = value.get<Namespace>()) return (*space)->depth;
  if (const Host* host = value.get<Host>()) return (*host)->depth();
  return 0;
}

}  // namespace initrt::jinja
