// Jinja's tests: what stands after "is".
#include <algorithm>
#include <array>

#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/texts.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

struct NamedTest {
  std::string_view name;
  Test test;
};

template <bool (*Is)(const Value&)>
bool plain(Machine&, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "a test");
  return Is(input);
}

bool is_defined(const Value& value) { return !value.is<Undefined>(); }
bool is_undefined(const Value& value) { return value.is<Undefined>(); }
bool is_none(const Value& value) { return value.is<None>(); }
bool is_boolean(const Value& value) { return value.is<bool>(); }
bool is_true(const Value& value) { return value.is<bool>() && value.as<bool>(); }
bool is_false(const Value& value) { return value.is<bool>() && !value.as<bool>(); }
bool is_integer(const Value& value) { return value.is<std::int64_t>(); }
bool is_float(const Value& value) { return value.is<double>(); }
bool is_number(const Value& value) { return as_float(value).has_value(); }
bool is_string(const Value& value) { return value.is<Text>(); }
bool is_mapping(const Value& value) { return value.is<Dict>(); }
bool is_sequence(const Value& value) {
  const List* list = value.get<List>();
  return value.is<Text>() || value.is<Dict>() || value.is<Undefined>() ||
         (list != nullptr && (*list)->flavour <= Flavour::Range);
}
bool is_callable(const Value& value) { return value.is<Host>() && value.as<Host>()->callable(); }
bool is_escaped(const Value& value) { return value.is<Text>() && value.as<Text>()->markup; }

std::int64_t remainder(Machine& machine, const Value& input, const Value& by) {
  const Value rest = operate(machine.heap, Operator::Modulo, input, by);
  return as_float(rest) && *as_float(rest) == 0 ? 0 : 1;
}
bool is_odd(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "odd");
  return remainder(machine, input, std::int64_t{2}) == 1;
}
bool is_even(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "even");
  return remainder(machine, input, std::int64_t{2}) == 0;
}
bool is_divisible(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [by] = bind<1>(arguments, "divisibleby", {"num"});
  return remainder(machine, input, given(by, "num")) == 0;
}

bool is_lower(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "lower");
  return is_lower_text(to_text(machine.heap, input));
}
bool is_upper(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "upper");
  return is_upper_text(to_text(machine.heap, input));
}

bool is_in(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [container] = bind<1>(arguments, "in", {"seq"});
  return contains(machine.heap, input, given(container, "seq"));
}

template <Comparison How>
bool compares(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [other] = bind<1>(arguments, "a comparison", {"other"});
  return compare(machine.heap, How, input, given(other, "other"));
}

// Identity: of what is no object here (numbers, None), the same type and value.
bool is_same(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [other] = bind<1>(arguments, "sameas", {"other"});
  const Value& value = given(other, "other");
  if (input.any().index() != value.any().index()) return false;
  if (input.is<List>()) return input.as<List>() == value.as<List>();
  if (input.is<Dict>()) return input.as<Dict>() == value.as<Dict>();
  return equal(machine.heap, input, value);
}

bool is_filter(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "filter");
  return find_filter(to_text(machine.heap, input)) != nullptr;
}
bool is_test(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "test");
  return find_test(to_text(machine.heap, input)) != nullptr;
}

constexpr std::array kTests = {
    NamedTest{"defined", plain<is_defined>},
    NamedTest{"undefined", plain<is_undefined>},
    NamedTest{"none", plain<is_none>},
    NamedTest{"boolean", plain<is_boolean>},
    NamedTest{"true", plain<is_true>},
    NamedTest{"false", plain<is_false>},
    NamedTest{"integer", plain<is_integer>},
    NamedTest{"float", plain<is_float>},
    NamedTest{"number", plain<is_number>},
    NamedTest{"string", plain<is_string>},
    NamedTest{"mapping", plain<is_mapping>},
    NamedTest{"sequence", plain<is_sequence>},
    NamedTest{"iterable", plain<is_iterable>},
    NamedTest{"callable", plain<is_callable>},
    NamedTest{"escaped", plain<is_escaped>},
    NamedTest{"odd", is_odd},
    NamedTest{"even", is_even},
    NamedTest{"divisibleby", is_divisible},
    NamedTest{"lower", is_lower},
    NamedTest{"upper", is_upper},
    NamedTest{"in", is_in},
    NamedTest{"sameas", is_same},
    NamedTest{"filter", is_filter},
    NamedTest{"test", is_test},
    NamedTest{"==", compares<Comparison::Equal>},
    NamedTest{"eq", compares<Comparison::Equal>},
    NamedTest{"equalto", compares<Comparison::Equal>},
    NamedTest{"!=", compares<Comparison::NotEqual>},
    NamedTest{"ne", compares<Comparison::NotEqual>},
    NamedTest{"<", compares<Comparison::Less>},
    NamedTest{"lt", compares<Comparison::Less>},
    NamedTest{"lessthan", compares<Comparison::Less>},
    NamedTest{"<=", compares<Comparison::LessOrEqual>},
    NamedTest{"le", compares<Comparison::LessOrEqual>},
    NamedTest{">", compares<Comparison::Greater>},
    NamedTest{"gt", compares<Comparison::Greater>},
    NamedTest{"greaterthan", compares<Comparison::Greater>},
    NamedTest{">=", compares<Comparison::GreaterOrEqual>},
    NamedTest{"ge", compares<Comparison::GreaterOrEqual>},
};

}  // namespace

Test find_test(std::string_view name) {
  const auto* found = std::find_if(kTests.begin(), kTests.end(),
                                   [&](const NamedTest& known) { return known.name == name; });
  return found == kTests.end() ? nullptr : found->test;
}

}  // namespace initrt::jinja
