// Filters of any value, and of numbers.
#include <array>
#include <charconv>
#include <cmath>

#include "runtime/text/jinja/attributes.h"
#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/operators.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

Value do_default(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [fallback, boolean] = bind<2>(arguments, "default", {"default_value", "boolean"});
  if (input.is<Undefined>() || (flag_of(boolean, false) && !truth(input))) {
    return fallback ? *fallback : machine.heap.text("");
  }
  return input;
}

Value do_attr(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [name] = bind<1>(arguments, "attr", {"name"});
  expect_defined(input);
  const std::string text = string_of(given(name, "name"), "name", "");
  if (const auto found = method_of(machine, input, text)) return *found;
  return undefined(fmt::format("'{} object' has no attribute '{}'", type_name(input), text));
}

std::optional<double> parse_float(std::string_view text) {
  text = strip_spaces(text);
  const bool plus = text.starts_with('+');
  if (plus) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return HUGE_VAL;
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

std::optional<std::int64_t> parse_int(std::string_view text, int base) {
  text = strip_spaces(text);
  const bool minus = text.starts_with('-');
  if (minus || text.starts_with('+')) text.remove_prefix(1);
  if (base == 16 && (text.starts_with("0x") || text.starts_with("0X"))) text.remove_prefix(2);
  if (base == 8 && (text.starts_with("0o") || text.starts_with("0O"))) text.remove_prefix(2);
  if (base == 2 && (text.starts_with("0b") || text.starts_with("0B"))) text.remove_prefix(2);
  if (text.starts_with('-') || text.empty()) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) fail("an int beyond 64 bits");
  return error == std::errc() ? std::optional(minus ? -number : number) : std::nullopt;
}

std::optional<std::int64_t> truncated(double number) {
  if (!std::isfinite(number)) return std::nullopt;
  if (std::abs(number) >= 9.2e18) fail("an int beyond 64 bits");
  return static_cast<std::int64_t>(number);
}

Value do_int(Machine&, const Value& input, const Arguments& arguments) {
  const auto [fallback, base] = bind<2>(arguments, "int", {"default", "base"});
  const std::int64_t of_digits = int_of(base, "base", 10);
  if (of_digits < 2 || of_digits > 36) fail("int: a base of {}", of_digits);
  expect_defined(input);
  std::optional<std::int64_t> number = as_int(input);
  if (const double* real = input.get<double>()) number = truncated(*real);
  if (const Text* text = input.get<Text>()) {
    number = parse_int((*text)->text, static_cast<int>(of_digits));
    if (!number) {
      if (const auto real = parse_float((*text)->text)) number = truncated(*real);
    }
  }
  if (number) return *number;
  return fallback.value_or(Value(std::int64_t{0}));
}

Value do_float(Machine&, const Value& input, const Arguments& arguments) {
  const auto [fallback] = bind<1>(arguments, "float", {"default"});
  expect_defined(input);
  std::optional<double> number = as_float(input);
  if (const Text* text = input.get<Text>()) number = parse_float((*text)->text);
  if (number) return *number;
  return fallback.value_or(Value(0.0));
}

Value do_abs(Machine&, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "abs");
  if (const double* number = input.get<double>()) return std::abs(*number);
  if (const auto whole = as_int(input)) return *whole < 0 ? negative(*whole) : Value(*whole);
  expect_defined(input);
  fail("bad operand type for abs(): '{}'", type_name(input));
}

Value do_round(Machine&, const Value& input, const Arguments& arguments) {
  const auto [digits, method] = bind<2>(arguments, "round", {"precision", "method"});
  const std::int64_t precision = int_of(digits, "precision", 0);
  const std::string how = string_of(method, "method", "common");
  if (how != "common" && how != "ceil" && how != "floor") {
    fail("method must be common, ceil or floor");
  }
  if (precision < -300 || precision > 300) fail("round: a precision of {}", precision);
  const auto number = as_float(input);
  if (!number) {
    expect_defined(input);
    fail("type {} doesn't define __round__ method", type_name(input));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (how == "ceil") return std::ceil(*number * scale) / scale;
  if (how == "floor") return std::floor(*number * scale) / scale;
  if (as_int(input) && precision >= 0) return *as_int(input);
  // The decimal text rounds as Python does.
  if (precision >= 0) {
    return parse_float(fmt::format("{:.{}f}", *number, static_cast<int>(precision)))
        .value_or(*number);
  }
  const double rounded = std::nearbyint(*number * scale) / scale;
  return as_int(input) ? Value(truncated(rounded).value_or(0)) : Value(rounded);
}

constexpr std::array kFilters = {
    NamedFilter{"default", do_default}, NamedFilter{"d", do_default},
    NamedFilter{"attr", do_attr},       NamedFilter{"int", do_int},
    NamedFilter{"float", do_float},     NamedFilter{"abs", do_abs},
    NamedFilter{"round", do_round},
};

}  // namespace

std::span<const NamedFilter> value_filters() { return kFilters; }

}  // namespace initrt::jinja
