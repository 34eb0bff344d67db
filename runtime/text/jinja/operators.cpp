#include "runtime/text/jinja/operators.h"

#include <algorithm>
#include <array>

#include "runtime/text/characters.h"
#include "runtime/text/jinja/code_points.h"
#include "sharding/error.h"
#include "sharding/overload.h"

namespace initrt::jinja {
namespace {

constexpr std::array<std::string_view, 6> kComparisons = {"==", "!=", "<", "<=", ">", ">="};

template <class T>
bool holds(Comparison comparison, const T& a, const T& b) {
  switch (comparison) {
    case Comparison::Equal:
      return a == b;
    case Comparison::NotEqual:
      return a != b;
    case Comparison::Less:
      return a < b;
    case Comparison::LessOrEqual:
      return a <= b;
    case Comparison::Greater:
      return a > b;
    case Comparison::GreaterOrEqual:
      return a >= b;
  }
  return false;
}

bool is_array(const ListObject& list) {
  return list.flavour == Flavour::Array || list.flavour == Flavour::Tuple;
}

bool equal_lists(Heap& heap, const ListObject& a, const ListObject& b) {
  return a.flavour == b.flavour && a.items.size() == b.items.size() &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(),
                    [&](const Value& x, const Value& y) { return equal(heap, x, y); });
}

bool equal_dicts(Heap& heap, const DictObject& a, const DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const DictObject::Entry& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(heap, entry.second, *other);
  });
}

// As Python: by the first members that differ, else by length.
bool ordered_lists(Heap& heap, Comparison comparison, const ListObject& a, const ListObject& b) {
  const std::size_t common = std::min(a.items.size(), b.items.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (!equal(heap, a.items[i], b.items[i])) {
      return compare(heap, comparison, a.items[i], b.items[i]);
    }
  }
  return holds(comparison, a.items.size(), b.items.size());
}

}  // namespace

void expect_defined(const Value& value) {
  const Undefined* undefined = value.get<Undefined>();
  if (undefined == nullptr) return;
  fail("{}", undefined->why ? std::string_view(*undefined->why) : "a value is undefined");
}

std::optional<std::int64_t> as_int(const Value& value) {
  if (const bool* flag = value.get<bool>()) return *flag ? 1 : 0;
  if (const auto* number = value.get<std::int64_t>()) return *number;
  return std::nullopt;
}

std::optional<double> as_float(const Value& value) {
  if (const double* number = value.get<double>()) return *number;
  if (const auto whole = as_int(value)) return static_cast<double>(*whole);
  return std::nullopt;
}

bool truth(const Value& value) {
  return std::visit(Overload{
                        [](const Undefined&) { return false; },
                        [](None) { return false; },
                        [](bool flag) { return flag; },
                        [](std::int64_t number) { return number != 0; },
                        [](double number) { return number != 0; },
                        [](const Text& text) { return !text->text.empty(); },
                        [](const List& list) {
                          return list->flavour == Flavour::Generator || !list->items.empty();
                        },
                        [](const Dict& dict) { return !dict->entries.empty(); },
                        [](const auto&) { return true; },
                    },
                    value.any());
}

bool equal(Heap& heap, const Value& a, const Value& b) {
  heap.step();
  if (as_int(a) && as_int(b)) return *as_int(a) == *as_int(b);
  if (as_float(a) && as_float(b)) return *as_float(a) == *as_float(b);
  if (a.any().index() != b.any().index()) return false;
  return std::visit(Overload{
                        [](const Undefined&) { return true; }, [](None) { return true; },
                        [&](const Text& text) { return text->text == b.as<Text>()->text; },
                        [&](const List& list) {
                          return list == b.as<List>() || equal_lists(heap, *list, *b.as<List>());
                        },
                        [&](const Dict& dict) {
                          return dict == b.as<Dict>() || equal_dicts(heap, *dict, *b.as<Dict>());
                        },
                        [&](const Namespace& space) { return space == b.as<Namespace>(); },
                        [&](const Host& host) { return host == b.as<Host>(); },
                        [](const auto&) { return false; },  // numbers, which were compared above
                    },
                    a.any());
}

bool compare(Heap& heap, Comparison comparison, const Value& a, const Value& b) {
  if (comparison == Comparison::Equal) return equal(heap, a, b);
  if (comparison == Comparison::NotEqual) return !equal(heap, a, b);
  heap.step();
  if (as_int(a) && as_int(b)) return holds(comparison, *as_int(a), *as_int(b));
  if (as_float(a) && as_float(b)) return holds(comparison, *as_float(a), *as_float(b));
  if (a.is<Text>() && b.is<Text>()) {
    // UTF-8 has the order of code points.
    return holds(comparison, a.as<Text>()->text, b.as<Text>()->text);
  }
  if (a.is<List>() && b.is<List>() && is_array(*a.as<List>()) &&
      a.as<List>()->flavour == b.as<List>()->flavour) {
    return ordered_lists(heap, comparison, *a.as<List>(), *b.as<List>());
  }
  expect_defined(a);
  expect_defined(b);
  fail("'{}' not supported between instances of '{}' and '{}'",
       kComparisons[static_cast<std::size_t>(comparison)], type_name(a), type_name(b));
}

bool contains(Heap& heap, const Value& item, const Value& container) {
  if (const Text* text = container.get<Text>()) {
    if (!item.is<Text>()) {
      expect_defined(item);
      fail("'in <string>' requires string as left operand, not {}", type_name(item));
    }
    heap.step(1 + (*text)->text.size() / 64);
    return find_text((*text)->text, item.as<Text>()->text) != std::string_view::npos;
  }
  if (const Dict* dict = container.get<Dict>()) return (*dict)->find(item) != nullptr;
  if (!is_iterable(container)) fail("argument of type '{}' is not iterable", type_name(container));
  const List items = items_of(heap, container);
  return std::any_of(items->items.begin(), items->items.end(),
                     [&](const Value& one) { return equal(heap, one, item); });
}

std::optional<std::size_t> length(const Value& value) {
  if (value.is<Undefined>()) return 0;
  if (const Text* text = value.get<Text>()) return (*text)->length;
  if (const Dict* dict = value.get<Dict>()) return (*dict)->entries.size();
  if (const List* list = value.get<List>(); list && (*list)->flavour != Flavour::Generator) {
    return (*list)->items.size();
  }
  return std::nullopt;
}

bool is_iterable(const Value& value) {
  return value.is<Undefined>() || value.is<Text>() || value.is<List>() || value.is<Dict>();
}

List items_of(Heap& heap, const Value& value) {
  std::vector<Value> items;
  if (const List* list = value.get<List>()) {
    if ((*list)->flavour != Flavour::Generator) return *list;
    if (!(*list)->used) {
      (*list)->used = true;
      return *list;
    }
  } else if (const Dict* dict = value.get<Dict>()) {
    heap.expect_room((*dict)->entries.size() * sizeof(Value));
    items.reserve((*dict)->entries.size());
    for (const auto& [key, of_key] : (*dict)->entries) items.push_back(key);
  } else if (const Text* text = value.get<Text>()) {
    heap.expect_room((*text)->length * 4 * sizeof(Value));
    for (std::string_view rest = (*text)->text; !rest.empty();) {
      const std::string_view character = first_character(rest);
      rest.remove_prefix(character.size());
      items.push_back(heap.text(std::string(character)));
    }
  } else if (!value.is<Undefined>()) {
    fail("'{}' object is not iterable", type_name(value));
  }
  return heap.list(std::move(items)).as<List>();
}

std::string escaped_html(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    constexpr std::string_view kSigns = "&<>\"'";
    constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
    const std::size_t found = kSigns.find(c);
    if (found == std::string_view::npos) {
      escaped += c;
    } else {
      escaped += kEntities[found];
    }
  }
  return escaped;
}

}  // namespace initrt::jinja
