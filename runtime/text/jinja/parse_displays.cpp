// Tuples, lists and dicts.
#include <algorithm>

#include "runtime/text/jinja/expressions.h"
#include "runtime/text/jinja/parser.h"

namespace initrt::jinja {

using Type = Token::Type;

bool Parser::tuple_ends(std::string_view end) const {
  return is(Type::VariableEnd) || is(Type::BlockEnd) || is_sign(")") ||
         (!end.empty() && is_name(end));
}

Operand Parser::tuple(bool with_condition, bool in_parentheses, std::string_view end) {
  const int line = now().line;
  std::vector<Operand> items;
  bool is_tuple = false;
  int depth = 0;
  for (;;) {
    if (!items.empty()) expect_sign(",");
    if (tuple_ends(end)) break;
    items.push_back(expression(with_condition));
    depth = std::max(depth, items.back()->depth());
    if (!is_sign(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items.front());
  if (!is_tuple && !in_parentheses) unexpected("an expression");
  Operand node = make<Several>({}, line, Flavour::Tuple, std::move(items));
  node->holds(depth);
  check_depth(*node);
  return node;
}

Operand Parser::list() {
  const int line = now().line;
  expect_sign("[");
  std::vector<Operand> items;
  int depth = 0;
  while (!is_sign("]")) {
    if (!items.empty()) expect_sign(",");
    if (is_sign("]")) break;
    items.push_back(expression());
    depth = std::max(depth, items.back()->depth());
  }
  expect_sign("]");
  Operand node = make<Several>({}, line, Flavour::Array, std::move(items));
  node->holds(depth);
  check_depth(*node);
  return node;
}

Operand Parser::dict() {
  const int line = now().line;
  expect_sign("{");
  std::vector<std::pair<Operand, Operand>> pairs;
  int depth = 0;
  while (!is_sign("}")) {
    if (!pairs.empty()) expect_sign(",");
    if (is_sign("}")) break;
    Operand key = expression();
    expect_sign(":");
    Operand value = expression();
    depth = std::max({depth, key->depth(), value->depth()});
    pairs.emplace_back(std::move(key), std::move(value));
  }
  expect_sign("}");
  Operand node = make<DictDisplay>({}, line, std::move(pairs));
  node->holds(depth);
  check_depth(*node);
  return node;
}

}  // namespace initrt::jinja
