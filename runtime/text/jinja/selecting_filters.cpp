// Filters that apply a test or another filter to each item: map, select, selectattr, ...
#include <array>

#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/operators.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

// The arguments from `begin` on.
Arguments rest_of(const Arguments& arguments, std::size_t begin) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(begin));
  return rest;
}

const std::string& name_in(const Arguments& arguments, std::size_t at, std::string_view filter) {
  if (at >= arguments.positional.size() || !arguments.positional[at].is<Text>()) {
    fail("{}: expected a name as argument {}", filter, at + 1);
  }
  return arguments.positional[at].as<Text>()->text;
}

Value do_map(Machine& machine, const Value& input, const Arguments& arguments) {
  std::vector<Value> mapped;
  if (!truth(input)) return machine.heap.list({}, Flavour::Generator);
  const List items = items_of(machine.heap, input);
  mapped.reserve(items->items.size());
  if (arguments.positional.empty()) {
    const auto [attribute, fallback] = bind<2>(arguments, "map", {"attribute", "default"});
    (void)given(attribute, "attribute");
    for (const Value& item : items->items) {
      Value value = attribute_at(machine, item, attribute);
      mapped.push_back(value.is<Undefined>() && fallback ? *fallback : value);
    }
  } else {
    const std::string& name = name_in(arguments, 0, "map");
    const Filter filter = find_filter(name);
    if (filter == nullptr) fail("no filter named '{}'", name);
    const Arguments rest = rest_of(arguments, 1);
    for (const Value& item : items->items) mapped.push_back(filter(machine, item, rest));
  }
  return machine.heap.list(std::move(mapped), Flavour::Generator);
}

/// Items, or those whose attribute (the first argument) passes a test (the next one), or is true.
template <bool Wanted, bool OfAttribute>
Value selected(Machine& machine, const Value& input, const Arguments& arguments) {
  std::optional<Value> attribute;
  if (OfAttribute) {
    if (arguments.positional.empty()) fail("Missing parameter for attribute name");
    attribute = arguments.positional.front();
  }
  Test test = nullptr;
  Arguments rest;
  constexpr std::size_t kTestAt = OfAttribute ? 1 : 0;
  if (arguments.positional.size() > kTestAt) {
    const std::string& name = name_in(arguments, kTestAt, "select");
    test = find_test(name);
    if (test == nullptr) fail("no test named '{}'", name);
    rest = rest_of(arguments, kTestAt + 1);
  }
  std::vector<Value> kept;
  if (!truth(input)) return machine.heap.list({}, Flavour::Generator);
  const List items = items_of(machine.heap, input);
  for (const Value& item : items->items) {
    const Value value = attribute_at(machine, item, attribute);
    const bool passes = test == nullptr ? truth(value) : test(machine, value, rest);
    if (passes == Wanted) kept.push_back(item);
  }
  return machine.heap.list(std::move(kept), Flavour::Generator);
}

constexpr std::array kFilters = {
    NamedFilter{"map", do_map},
    NamedFilter{"select", selected<true, false>},
    NamedFilter{"reject", selected<false, false>},
    NamedFilter{"selectattr", selected<true, true>},
    NamedFilter{"rejectattr", selected<false, true>},
};

}  // namespace

std::span<const NamedFilter> selecting_filters() { return kFilters; }

}  // namespace initrt::jinja
