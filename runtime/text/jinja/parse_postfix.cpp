// What may stand behind an expression: members, indices, calls, filters, tests.
#include <algorithm>

#include "runtime/text/jinja/expressions.h"
#include "runtime/text/jinja/parser.h"
#include "sharding/error.h"

namespace initrt::jinja {

using Type = Token::Type;

Operand Parser::postfix(Operand node) {
  for (;;) {
    if (is_sign(".") || is_sign("[")) {
      node = subscript(std::move(node));
    } else if (is_sign("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

Operand Parser::filters_and_tests(Operand node) {
  for (;;) {
    const int line = now().line;
    if (skip_sign("|")) {
      int depth = node->depth();
      FilterCall filter = filter_call(depth);
      node = make<Filtered>({}, line, std::move(node), std::move(filter));
      node->holds(depth);
      check_depth(*node);
    } else if (is_name("is")) {
      node = test(std::move(node));
    } else if (is_sign("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

Operand Parser::subscript(Operand node) {
  const int line = now().line;
  if (skip_sign("[")) {
    Operand result = index_or_slice(std::move(node));
    expect_sign("]");
    return result;
  }
  expect_sign(".");
  if (is(Type::Name)) {
    const Expression* inside = node.get();
    std::string name = take_name();
    return make<Attribute>({inside}, line, std::move(node), std::move(name));
  }
  if (!is(Type::Integer)) unexpected("a name or a number");
  Operand key = make<Constant>({}, line, number());
  const Expression* inside = node.get();
  return make<Item>({inside, key.get()}, line, std::move(node), std::move(key));
}

Operand Parser::index_or_slice(Operand object) {
  const int line = now().line;
  const auto ends = [&] { return is_sign(":") || is_sign("]") || is_sign(","); };
  Operand start = ends() ? nullptr : expression();
  if (!is_sign(":")) {
    if (!start) unexpected("an expression");
    const Expression *of = object.get(), *at = start.get();
    return make<Item>({of, at}, line, std::move(object), std::move(start));
  }
  Operand stop, step;
  expect_sign(":");
  if (!ends()) stop = expression();
  if (skip_sign(":") && !ends()) step = expression();
  const Expression *of = object.get(), *a = start.get(), *b = stop.get(), *c = step.get();
  return make<Slice>({of, a, b, c}, line, std::move(object), std::move(start), std::move(stop),
                     std::move(step));
}

Operand Parser::call(Operand function) {
  const int line = now().line;
  int depth = function->depth();
  CallArguments arguments = call_arguments(depth);
  Operand node = make<Call>({}, line, std::move(function), std::move(arguments));
  node->holds(depth);
  check_depth(*node);
  return node;
}

CallArguments Parser::call_arguments(int& depth) {
  expect_sign("(");
  CallArguments arguments;
  const auto taken = [&] {
    Operand value = expression();
    depth = std::max(depth, value->depth());
    return value;
  };
  bool comma = false;
  while (!is_sign(")")) {
    if (comma) {
      expect_sign(",");
      if (is_sign(")")) break;
    }
    const bool after_named =
        !arguments.named.empty() || arguments.more_positional || arguments.more_named;
    if (!arguments.more_positional && !arguments.more_named && skip_sign("*")) {
      arguments.more_positional = taken();
    } else if (!arguments.more_named && skip_sign("**")) {
      arguments.more_named = taken();
    } else if (!arguments.more_named && is(Type::Name) && after().type == Type::Sign &&
               after().text == "=") {
      std::string name = take_name();
      expect_sign("=");
      arguments.named.push_back({std::move(name), taken()});
    } else if (!after_named) {
      arguments.positional.push_back(taken());
    } else {
      unexpected("a keyword argument");
    }
    comma = true;
  }
  expect_sign(")");
  return arguments;
}

FilterCall Parser::filter_call(int& depth) {
  FilterCall filter;
  filter.line = now().line;
  filter.name = take_name();
  while (skip_sign(".")) filter.name += "." + take_name();
  filter.filter = find_filter(filter.name);
  if (is_sign("(")) filter.arguments = call_arguments(depth);
  return filter;
}

std::vector<FilterCall> Parser::filter_calls(int& depth) {
  std::vector<FilterCall> filters;
  do {
    filters.push_back(filter_call(depth));
  } while (skip_sign("|"));
  return filters;
}

Operand Parser::test(Operand input) {
  const int line = now().line;
  (void)skip_name("is");
  const bool negated = skip_name("not");
  std::string name = take_name();
  while (skip_sign(".")) name += "." + take_name();
  int depth = input->depth();
  CallArguments arguments;
  const bool value = is(Type::Name) || is(Type::String) || is(Type::Integer) || is(Type::Float) ||
                     is_sign("[") || is_sign("{");
  if (is_sign("(")) {
    arguments = call_arguments(depth);
  } else if (value && !is_name("else") && !is_name("or") && !is_name("and")) {
    if (is_name("is")) fail("line {}: You cannot chain multiple tests with is", line);
    arguments.positional.push_back(postfix(primary()));
    depth = std::max(depth, arguments.positional.back()->depth());
  }
  Operand node = make<Tested>({}, line, std::move(input), std::move(name), std::move(arguments));
  node->holds(depth);
  check_depth(*node);
  if (!negated) return node;
  const Expression* inside = node.get();
  return make<Not>({inside}, line, std::move(node));
}

}  // namespace initrt::jinja
