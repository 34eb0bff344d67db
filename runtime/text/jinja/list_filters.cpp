// Filters of lists and dicts.
#include <algorithm>
#include <array>

#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

Value do_length(Machine&, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "length");
  const auto count = length(input);
  if (!count) fail("object of type '{}' has no len()", type_name(input));
  return static_cast<std::int64_t>(*count);
}

Value do_first(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "first");
  const List items = items_of(machine.heap, input);
  if (items->items.empty()) return undefined("No first item, sequence was empty.");
  return items->items.front();
}

Value do_last(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "last");
  if (!length(input)) fail("'{}' object is not reversible", type_name(input));
  const List items = items_of(machine.heap, input);
  if (items->items.empty()) return undefined("No last item, sequence was empty.");
  return items->items.back();
}

Value do_list(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "list");
  return machine.heap.list(items_of(machine.heap, input)->items);
}

Value do_join(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [by, attribute] = bind<2>(arguments, "join", {"d", "attribute"});
  const std::string separator = by ? to_text(machine.heap, *by) : "";
  Output out(machine.heap);
  bool first = true;
  const List items = items_of(machine.heap, input);
  for (const Value& item : items->items) {
    if (!first) out += separator;
    first = false;
    out += to_text(machine.heap, attribute_at(machine, item, attribute));
  }
  return machine.heap.text(out.take());
}

Value do_reverse(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "reverse");
  const List items = items_of(machine.heap, input);
  std::vector<Value> reversed(items->items.rbegin(), items->items.rend());
  if (!input.is<Text>()) return machine.heap.list(std::move(reversed), Flavour::Generator);
  std::string text;
  for (const Value& character : reversed) text += character.as<Text>()->text;
  return machine.heap.text(std::move(text));
}

Value do_items(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "items");
  std::vector<Value> pairs;
  if (const Dict* dict = input.get<Dict>()) {
    pairs.reserve((*dict)->entries.size());
    for (const auto& [key, value] : (*dict)->entries) {
      pairs.push_back(machine.heap.tuple({key, value}));
    }
  } else if (!input.is<Undefined>()) {
    fail("Can only get item pairs from a mapping.");
  }
  return machine.heap.list(std::move(pairs), Flavour::Generator);
}

/// Sorts by keys, of which `key(item)` gives the parts; of equal keys the first stays first.
template <class Key>
std::vector<Value> sorted(Machine& machine, const std::vector<Value>& items, bool reverse,
                          const Key& key) {
  struct Keyed {
    std::vector<Value> key;
    const Value* item;
  };
  std::vector<Keyed> keyed;
  keyed.reserve(items.size());
  for (const Value& item : items) keyed.push_back({key(item), &item});
  const auto less = [&](const Keyed& a, const Keyed& b) {
    for (std::size_t i = 0; i < a.key.size(); ++i) {
      if (!equal(machine.heap, a.key[i], b.key[i])) {
        return compare(machine.heap, Comparison::Less, a.key[i], b.key[i]);
      }
    }
    return false;
  };
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(b, a) : less(a, b);
  });
  std::vector<Value> result;
  result.reserve(keyed.size());
  for (const Keyed& one : keyed) result.push_back(*one.item);
  return result;
}

Value do_sort(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [reverse, cased, attribute] =
      bind<3>(arguments, "sort", {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = flag_of(cased, false);
  std::vector<std::optional<Value>> attributes = {attribute};
  if (attribute && attribute->is<Text>()) {
    attributes.clear();
    std::string_view rest = attribute->as<Text>()->text;
    for (;;) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      attributes.emplace_back(machine.heap.text(std::string(rest.substr(0, comma))));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  }
  const auto key = [&](const Value& item) {
    std::vector<Value> parts;
    parts.reserve(attributes.size());
    for (const auto& one : attributes) {
      Value part = attribute_at(machine, item, one);
      parts.push_back(case_sensitive ? part : without_case(machine, part));
    }
    return parts;
  };
  const List items = items_of(machine.heap, input);
  return machine.heap.list(sorted(machine, items->items, flag_of(reverse, false), key));
}

Value do_dictsort(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [cased, by, reverse] =
      bind<3>(arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  const std::string which = string_of(by, "by", "key");
  if (which != "key" && which != "value") {
    fail("You can only sort by either \"key\" or \"value\"");
  }
  const Dict* dict = input.get<Dict>();
  if (dict == nullptr) {
    expect_defined(input);
    fail("'{} object' has no attribute 'items'", type_name(input));
  }
  std::vector<Value> pairs;
  pairs.reserve((*dict)->entries.size());
  for (const auto& [key, value] : (*dict)->entries) {
    pairs.push_back(machine.heap.tuple({key, value}));
  }
  const bool case_sensitive = flag_of(cased, false);
  const auto key = [&](const Value& pair) {
    const Value& part = pair.as<List>()->items[which == "key" ? 0 : 1];
    return std::vector<Value>{case_sensitive ? part : without_case(machine, part)};
  };
  return machine.heap.list(sorted(machine, pairs, flag_of(reverse, false), key));
}

Value do_groupby(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [attribute, fallback, cased] =
      bind<3>(arguments, "groupby", {"attribute", "default", "case_sensitive"});
  const bool case_sensitive = flag_of(cased, false);
  const auto group_of = [&](const Value& item) {
    Value value = attribute_at(machine, item, given(attribute, "attribute"));
    return value.is<Undefined>() && fallback ? *fallback : value;
  };
  const auto key_of = [&](const Value& item) {
    const Value group = group_of(item);
    return case_sensitive ? group : without_case(machine, group);
  };
  const List items = items_of(machine.heap, input);
  const std::vector<Value> in_order = sorted(
      machine, items->items, false, [&](const Value& item) { return std::vector{key_of(item)}; });
  std::vector<Value> groups;
  for (std::size_t begin = 0, end = 0; begin < in_order.size(); begin = end) {
    const Value key = key_of(in_order[begin]);
    while (end < in_order.size() && equal(machine.heap, key_of(in_order[end]), key)) ++end;
    std::vector<Value> members(in_order.begin() + static_cast<std::ptrdiff_t>(begin),
                               in_order.begin() + static_cast<std::ptrdiff_t>(end));
    if (begin == end) fail("groupby: a value that is not equal to itself");
    groups.push_back(
        machine.heap.tuple({group_of(members.front()), machine.heap.list(std::move(members))}));
  }
  return machine.heap.list(std::move(groups));
}

// In groups of a size, or in a number of groups; the last ones filled up.
Value do_batch(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [count, fill] = bind<2>(arguments, "batch", {"linecount", "fill_with"});
  const std::int64_t size = int_of(given(count, "linecount"), "linecount", 0);
  if (size < 1) fail("batch: a linecount of {}", size);
  std::vector<Value> batches, batch;
  const auto finish = [&] { batches.push_back(machine.heap.list(std::exchange(batch, {}))); };
  const List items = items_of(machine.heap, input);
  for (const Value& item : items->items) {
    if (static_cast<std::int64_t>(batch.size()) == size) finish();
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (fill && !fill->is<None>()) {
      machine.heap.expect_room(static_cast<std::size_t>(std::min(size, std::int64_t{1} << 40)) *
                               sizeof(Value));
      batch.resize(static_cast<std::size_t>(size), *fill);
    }
    finish();
  }
  return machine.heap.list(std::move(batches), Flavour::Generator);
}

Value do_unique(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [cased, attribute] = bind<2>(arguments, "unique", {"case_sensitive", "attribute"});
  const bool case_sensitive = flag_of(cased, false);
  std::vector<Value> kept;
  std::unordered_map<std::string, bool> seen;
  const List items = items_of(machine.heap, input);
  for (const Value& item : items->items) {
    const Value value = attribute_at(machine, item, attribute);
    const auto key = key_text(case_sensitive ? value : without_case(machine, value));
    if (!key) fail("unique: unhashable type: '{}'", type_name(value));
    if (seen.emplace(*key, true).second) kept.push_back(item);
  }
  return machine.heap.list(std::move(kept), Flavour::Generator);
}

template <Comparison Wanted>
Value extreme(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [cased, attribute] = bind<2>(arguments, "min", {"case_sensitive", "attribute"});
  const bool case_sensitive = flag_of(cased, false);
  const List items = items_of(machine.heap, input);
  if (items->items.empty()) return undefined("No aggregated item, sequence was empty.");
  const auto key = [&](const Value& item) {
    const Value value = attribute_at(machine, item, attribute);
    return case_sensitive ? value : without_case(machine, value);
  };
  const Value* best = &items->items.front();
  for (const Value& item : items->items) {
    if (compare(machine.heap, Wanted, key(item), key(*best))) best = &item;
  }
  return *best;
}

Value do_sum(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [attribute, start] = bind<2>(arguments, "sum", {"attribute", "start"});
  Value sum = start.value_or(Value(std::int64_t{0}));
  const List items = items_of(machine.heap, input);
  for (const Value& item : items->items) {
    sum = operate(machine.heap, Operator::Add, sum, attribute_at(machine, item, attribute));
  }
  return sum;
}

constexpr std::array kFilters = {
    NamedFilter{"length", do_length},
    NamedFilter{"count", do_length},
    NamedFilter{"first", do_first},
    NamedFilter{"last", do_last},
    NamedFilter{"list", do_list},
    NamedFilter{"join", do_join},
    NamedFilter{"reverse", do_reverse},
    NamedFilter{"items", do_items},
    NamedFilter{"sort", do_sort},
    NamedFilter{"dictsort", do_dictsort},
    NamedFilter{"groupby", do_groupby},
    NamedFilter{"batch", do_batch},
    NamedFilter{"unique", do_unique},
    NamedFilter{"min", extreme<Comparison::Less>},
    NamedFilter{"max", extreme<Comparison::Greater>},
    NamedFilter{"sum", do_sum},
};

}  // namespace

std::span<const NamedFilter> list_filters() { return kFilters; }

}  // namespace initrt::jinja
