// Methods of dicts and lists that change nothing.
#include <algorithm>
#include <array>

#include "runtime/text/jinja/attributes.h"
#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/operators.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

using DictMethod = Value (*)(Machine&, const DictObject&, const Arguments&);
using ListMethod = Value (*)(Machine&, const ListObject&, const Arguments&);

template <class Method>
struct Named {
  std::string_view name;
  Method method;
};

Value view(Machine& machine, const DictObject& dict, Flavour flavour) {
  std::vector<Value> items;
  machine.heap.expect_room(dict.entries.size() * sizeof(Value));
  items.reserve(dict.entries.size());
  for (const auto& [key, value] : dict.entries) {
    items.push_back(flavour == Flavour::Keys     ? key
                    : flavour == Flavour::Values ? value
                                                 : machine.heap.tuple({key, value}));
  }
  return machine.heap.list(std::move(items), flavour);
}

Value dict_get(Machine&, const DictObject& dict, const Arguments& arguments) {
  const auto [key, fallback] = bind<2>(arguments, "get", {"key", "default"});
  const Value* found = dict.find(given(key, "key"));
  if (found != nullptr) return *found;
  return fallback.value_or(Value(None{}));
}

Value dict_items(Machine& machine, const DictObject& dict, const Arguments& arguments) {
  expect_no_arguments(arguments, "items");
  return view(machine, dict, Flavour::Items);
}

Value dict_keys(Machine& machine, const DictObject& dict, const Arguments& arguments) {
  expect_no_arguments(arguments, "keys");
  return view(machine, dict, Flavour::Keys);
}

Value dict_values(Machine& machine, const DictObject& dict, const Arguments& arguments) {
  expect_no_arguments(arguments, "values");
  return view(machine, dict, Flavour::Values);
}

Value dict_copy(Machine& machine, const DictObject& dict, const Arguments& arguments) {
  expect_no_arguments(arguments, "copy");
  return machine.heap.dict(dict.entries);
}

Value list_count(Machine& machine, const ListObject& list, const Arguments& arguments) {
  const auto [value] = bind<1>(arguments, "count", {"value"});
  return std::int64_t{std::count_if(list.items.begin(), list.items.end(), [&](const Value& item) {
    return equal(machine.heap, item, given(value, "value"));
  })};
}

Value list_index(Machine& machine, const ListObject& list, const Arguments& arguments) {
  const auto [value] = bind<1>(arguments, "index", {"value"});
  const auto found = std::find_if(list.items.begin(), list.items.end(), [&](const Value& item) {
    return equal(machine.heap, item, given(value, "value"));
  });
  if (found == list.items.end()) fail("index(): the value is not in the list");
  return std::int64_t{found - list.items.begin()};
}

Value list_copy(Machine& machine, const ListObject& list, const Arguments& arguments) {
  expect_no_arguments(arguments, "copy");
  return machine.heap.list(list.items);
}

constexpr std::array kDictMethods = {
    Named<DictMethod>{"get", dict_get},   Named<DictMethod>{"items", dict_items},
    Named<DictMethod>{"keys", dict_keys}, Named<DictMethod>{"values", dict_values},
    Named<DictMethod>{"copy", dict_copy},
};
constexpr std::array kListMethods = {
    Named<ListMethod>{"count", list_count},
    Named<ListMethod>{"index", list_index},
    Named<ListMethod>{"copy", list_copy},
};

// What transformers' sandbox refuses, as it changes the value.
constexpr std::array<std::string_view, 5> kUnsafeOfDicts = {"clear", "pop", "popitem", "setdefault",
                                                            "update"};
constexpr std::array<std::string_view, 8> kUnsafeOfLists = {"append", "clear",  "extend",  "insert",
                                                            "pop",    "remove", "reverse", "sort"};

template <class Object, class Methods, class Unsafe>
std::optional<Value> method_in(const Methods& methods, const Unsafe& unsafe, const Value& self,
                               const std::shared_ptr<const Object>& object, std::string_view name) {
  if (std::find(unsafe.begin(), unsafe.end(), name) != unsafe.end()) {
    return unsafe_attribute(self, name);
  }
  for (const auto& known : methods) {
    if (known.name != name) continue;
    return native(
        [object, method = known.method](Machine& machine, Arguments& arguments) {
          return method(machine, *object, arguments);
        },
        object->depth);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Value> container_method(const Value& self, std::string_view name) {
  if (const Dict* dict = self.get<Dict>()) {
    return method_in(kDictMethods, kUnsafeOfDicts, self, *dict, name);
  }
  const List* list = self.get<List>();
  if (list == nullptr || (*list)->flavour > Flavour::Tuple) return std::nullopt;
  return method_in(kListMethods, kUnsafeOfLists, self, *list, name);
}

}  // namespace initrt::jinja
