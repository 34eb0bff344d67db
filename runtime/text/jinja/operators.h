// What Python's operators make of values.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/text/jinja/heap.h"

namespace initrt::jinja {

enum class Operator : std::uint8_t {
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
};

enum class Comparison : std::uint8_t {
  Equal,
  NotEqual,
  Less,
  LessOrEqual,
  Greater,
  GreaterOrEqual,
};

[[nodiscard]] bool truth(const Value& value);

[[nodiscard]] bool equal(Heap& heap, const Value& a, const Value& b);

/// @throws Error where values of these types have no order
[[nodiscard]] bool compare(Heap& heap, Comparison comparison, const Value& a, const Value& b);

/// @throws Error for values that the operator does not take, and for an int beyond 64 bits
[[nodiscard]] Value operate(Heap& heap, Operator op, const Value& a, const Value& b);
[[nodiscard]] Value negative(const Value& value);

/// `item in container`. @throws Error where it is no container
[[nodiscard]] bool contains(Heap& heap, const Value& item, const Value& container);

/// len(); nothing for what has none.
[[nodiscard]] std::optional<std::size_t> length(const Value& value);

/// What a loop over the value goes through: characters of a text, keys of a dict; nothing of what
/// is undefined, or of a generator that was gone through. @throws Error for what is not iterable
[[nodiscard]] List items_of(Heap& heap, const Value& value);
[[nodiscard]] bool is_iterable(const Value& value);

/// A number as an int: of bool and int.
[[nodiscard]] std::optional<std::int64_t> as_int(const Value& value);
/// A number as a float: of bool, int and float.
[[nodiscard]] std::optional<double> as_float(const Value& value);

/// @throws Error that says what an undefined value stands for
void expect_defined(const Value& value);

/// `text` as Markup has it: & < > " ' as entities.
[[nodiscard]] std::string escaped_html(std::string_view text);

}  // namespace initrt::jinja
