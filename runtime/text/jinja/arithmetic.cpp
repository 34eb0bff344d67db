// + - * / // % ** of numbers, texts and lists.
#include <array>
#include <cmath>

#include "runtime/text/jinja/format.h"
#include "runtime/text/jinja/operators.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

constexpr std::array<std::string_view, 7> kSigns = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void beyond() { fail("an int beyond 64 bits"); }

// Python rounds towards minus infinity.
std::int64_t floor_divided(std::int64_t a, std::int64_t b) {
  if (b == -1) {
    std::int64_t result = 0;
    if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) beyond();
    return result;
  }
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("0 cannot be raised to a negative power");
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (base == 0 || base == 1) return base;
    if (base == -1) return std::int64_t{exponent % 2 == 0 ? 1 : -1};
    if (__builtin_mul_overflow(result, base, &result)) beyond();
  }
  return result;
}

Value of_ints(Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Operator::Add:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::Subtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::Multiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::Power:
      return power(a, b);
    case Operator::Divide:
    case Operator::FloorDivide:
    case Operator::Modulo:
      if (b == 0) fail("division by zero");
      if (op == Operator::Divide) return static_cast<double>(a) / static_cast<double>(b);
      if (op == Operator::FloorDivide) return floor_divided(a, b);
      return b == -1 ? std::int64_t{0} : a - floor_divided(a, b) * b;
  }
  if (overflow) beyond();
  return result;
}

Value of_floats(Operator op, double a, double b) {
  const bool divides =
      op == Operator::Divide || op == Operator::FloorDivide || op == Operator::Modulo;
  if (divides && b == 0) fail("division by zero");
  switch (op) {
    case Operator::Add:
      return a + b;
    case Operator::Subtract:
      return a - b;
    case Operator::Multiply:
      return a * b;
    case Operator::Divide:
      return a / b;
    case Operator::FloorDivide:
      return std::floor(a / b);
    case Operator::Power:
      return std::pow(a, b);
    case Operator::Modulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
  }
  return {};
}

// Of texts of which one is Markup, the other's HTML is escaped.
Value joined(Heap& heap, const TextObject& a, const TextObject& b) {
  heap.expect_room(a.text.size() + b.text.size());
  if (!a.markup && !b.markup) return heap.text(a.text + b.text);
  const auto safe = [](const TextObject& text) {
    return text.markup ? text.text : escaped_html(text.text);
  };
  return heap.text(safe(a) + safe(b), true);
}

Value joined(Heap& heap, const ListObject& a, const ListObject& b) {
  heap.expect_room((a.items.size() + b.items.size()) * sizeof(Value));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return heap.list(std::move(items), a.flavour);
}

// `times` of a text or a list; nothing for another value.
std::optional<Value> repeated(Heap& heap, const Value& value, std::int64_t times) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  const auto expect_room = [&](std::size_t bytes) {
    std::size_t all = 0;
    if (__builtin_mul_overflow(bytes, count, &all)) all = std::size_t(-1);
    heap.expect_room(all);
  };
  if (const Text* text = value.get<Text>()) {
    expect_room((*text)->text.size());
    std::string result;
    if (!(*text)->text.empty()) {
      for (std::size_t i = 0; i < count; ++i) result += (*text)->text;
    }
    return heap.text(std::move(result), (*text)->markup);
  }
  const List* list = value.get<List>();
  if (list == nullptr) return std::nullopt;
  if ((*list)->flavour != Flavour::Array && (*list)->flavour != Flavour::Tuple) return std::nullopt;
  expect_room((*list)->items.size() * sizeof(Value));
  std::vector<Value> items;
  if (!(*list)->items.empty()) {
    for (std::size_t i = 0; i < count; ++i) {
      items.insert(items.end(), (*list)->items.begin(), (*list)->items.end());
    }
  }
  return heap.list(std::move(items), (*list)->flavour);
}

}  // namespace

Value operate(Heap& heap, Operator op, const Value& a, const Value& b) {
  heap.step();
  if (as_int(a) && as_int(b)) return of_ints(op, *as_int(a), *as_int(b));
  if (as_float(a) && as_float(b)) return of_floats(op, *as_float(a), *as_float(b));
  if (op == Operator::Add) {
    if (a.is<Text>() && b.is<Text>()) return joined(heap, *a.as<Text>(), *b.as<Text>());
    if (a.is<List>() && b.is<List>() && a.as<List>()->flavour == b.as<List>()->flavour &&
        a.as<List>()->flavour <= Flavour::Tuple) {
      return joined(heap, *a.as<List>(), *b.as<List>());
    }
  }
  if (op == Operator::Modulo && a.is<Text>()) return percent_format(heap, *a.as<Text>(), b);
  if (op == Operator::Multiply) {
    std::optional<Value> result;
    if (as_int(b)) result = repeated(heap, a, *as_int(b));
    if (!result && as_int(a)) result = repeated(heap, b, *as_int(a));
    if (result) return *result;
  }
  expect_defined(a);
  expect_defined(b);
  fail("unsupported operand type(s) for {}: '{}' and '{}'", kSigns[static_cast<std::size_t>(op)],
       type_name(a), type_name(b));
}

Value negative(const Value& value) {
  if (const auto whole = as_int(value)) {
    if (*whole == std::numeric_limits<std::int64_t>::min()) beyond();
    return -*whole;
  }
  if (const double* number = value.get<double>()) return -*number;
  expect_defined(value);
  fail("bad operand type for unary -: '{}'", type_name(value));
}

}  // namespace initrt::jinja
