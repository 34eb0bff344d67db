// Statements.
#include <algorithm>

#include "runtime/text/jinja/expressions.h"
#include "runtime/text/jinja/parser.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

using Type = Token::Type;

template <class Node>
std::unique_ptr<Statement> deep(std::unique_ptr<Node> node, std::initializer_list<int> inside) {
  for (const int depth : inside) node->holds(depth);
  return node;
}

int depth_of(const Operand& value) { return value ? value->depth() : 0; }

}  // namespace

Body Parser::parse() { return subparse({}); }

Body Parser::subparse(std::initializer_list<std::string_view> ends) {
  Body body;
  const auto add = [&](std::unique_ptr<Statement> statement) {
    body.depth = std::max(body.depth, statement->depth());
    body.statements.push_back(std::move(statement));
  };
  while (!is(Type::End)) {
    const int line = now().line;
    if (is(Type::Data)) {
      add(std::make_unique<DataStatement>(line, std::move(tokens_[at_++].text)));
    } else if (is(Type::VariableBegin)) {
      ++at_;
      Operand value = tuple();
      expect(Type::VariableEnd, "the end of the tag");
      const int depth = value->depth();
      add(deep(std::make_unique<Print>(line, std::move(value)), {depth}));
    } else {
      expect(Type::BlockBegin, "a tag");
      if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return is_name(end); })) {
        return body;
      }
      add(statement());
      expect(Type::BlockEnd, "the end of the tag");
    }
  }
  if (ends.size() > 0) unexpected(fmt::format("{{% {} %}}", *(ends.end() - 1)));
  return body;
}

// From the end of a tag up to the name of the one that ends the body.
Body Parser::body_until(std::initializer_list<std::string_view> ends) {
  (void)skip_sign(":");
  expect(Type::BlockEnd, "the end of the tag");
  return subparse(ends);
}

std::unique_ptr<Statement> Parser::statement() {
  const Nesting nesting(*this);
  const int line = now().line;
  const std::string name = take_name();
  if (name == "if") return parse_if(line);
  if (name == "for") return parse_for(line);
  if (name == "set") return parse_set(line);
  if (name == "macro") return parse_macro(line);
  if (name == "call") return parse_call_block(line);
  if (name == "filter") return parse_filter_block(line);
  if (name == "with") return parse_with(line);
  if (name == "generation") return parse_generation(line);
  if (name == "break") return parse_leave(line, Flow::Break);
  if (name == "continue") return parse_leave(line, Flow::Continue);
  fail("line {}: unknown tag {}", line, quote(name));
}

std::unique_ptr<Statement> Parser::parse_if(int line) {
  std::vector<If::Branch> branches;
  int depth = 0;
  const auto add = [&](Operand test, Body body) {
    depth = std::max({depth, depth_of(test), body.depth});
    branches.push_back({std::move(test), std::move(body)});
  };
  for (;;) {
    Operand test = tuple(false);
    Body body = body_until({"elif", "else", "endif"});
    add(std::move(test), std::move(body));
    if (skip_name("elif")) continue;
    if (skip_name("else")) {
      add(nullptr, body_until({"endif"}));
    }
    break;
  }
  (void)skip_name("endif");
  return deep(std::make_unique<If>(line, std::move(branches)), {depth});
}

std::unique_ptr<Statement> Parser::parse_for(int line) {
  For::Parts parts;
  parts.target = target(false);
  if (!skip_name("in")) unexpected("'in'");
  parts.items = tuple(false, false, "recursive");
  if (skip_name("if")) parts.test = expression();
  parts.recursive = skip_name("recursive");
  ++loops_;
  parts.body = body_until({"else", "endfor"});
  --loops_;
  if (skip_name("else")) parts.otherwise = body_until({"endfor"});
  (void)skip_name("endfor");
  const std::initializer_list<int> inside = {parts.items->depth(), depth_of(parts.test),
                                             parts.body.depth, parts.otherwise.depth};
  return deep(std::make_unique<For>(line, std::move(parts)), inside);
}

std::unique_ptr<Statement> Parser::parse_leave(int line, Flow flow) {
  if (loops_ == 0) {
    fail("line {}: {{% {} %}} outside of a loop", line, flow == Flow::Break ? "break" : "continue");
  }
  return std::make_unique<Leave>(line, flow);
}

Target Parser::one_target(bool with_namespace) {
  const Nesting nesting(*this);
  if (skip_sign("(")) {
    Target several = target(with_namespace);
    expect_sign(")");
    return several;
  }
  Target one;
  const int line = now().line;
  one.name = take_name();
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (one.name == constant) fail("line {}: can't assign to {}", line, quote(one.name));
  }
  if (with_namespace && skip_sign(".")) one.attribute = take_name();
  return one;
}

Target Parser::target(bool with_namespace) {
  Target first = one_target(with_namespace);
  if (!is_sign(",")) return first;
  Target several;
  several.several.push_back(std::move(first));
  while (skip_sign(",")) {
    if (!is(Type::Name) && !is_sign("(")) break;
    if (is_name("in")) break;
    several.several.push_back(one_target(with_namespace));
  }
  return several;
}

std::unique_ptr<Statement> Parser::parse_set(int line) {
  Target to = target(true);
  if (skip_sign("=")) {
    Operand value = tuple();
    const int depth = value->depth();
    return deep(std::make_unique<Set>(line, std::move(to), std::move(value)), {depth});
  }
  int depth = 0;
  std::vector<FilterCall> filters;
  if (skip_sign("|")) filters = filter_calls(depth);
  const int loops = std::exchange(loops_, 0);  // a loop cannot be left out of what makes a value
  Body body = body_until({"endset"});
  loops_ = loops;
  (void)skip_name("endset");
  const int inside = body.depth;
  return deep(std::make_unique<SetBlock>(line, std::move(to), std::move(filters), std::move(body)),
              {depth, inside});
}

std::unique_ptr<Statement> Parser::parse_filter_block(int line) {
  int depth = 0;
  std::vector<FilterCall> filters = filter_calls(depth);
  const int loops = std::exchange(loops_, 0);
  Body body = body_until({"endfilter"});
  loops_ = loops;
  (void)skip_name("endfilter");
  const int inside = body.depth;
  return deep(std::make_unique<FilterBlock>(line, std::move(filters), std::move(body)),
              {depth, inside});
}

std::unique_ptr<Statement> Parser::parse_with(int line) {
  std::vector<std::pair<Target, Operand>> values;
  int depth = 0;
  while (!is(Type::BlockEnd)) {
    if (!values.empty()) expect_sign(",");
    Target to = one_target(false);
    expect_sign("=");
    Operand value = expression();
    depth = std::max(depth, value->depth());
    values.emplace_back(std::move(to), std::move(value));
  }
  Body body = body_until({"endwith"});
  (void)skip_name("endwith");
  const int inside = body.depth;
  return deep(std::make_unique<With>(line, std::move(values), std::move(body)), {depth, inside});
}

std::unique_ptr<Statement> Parser::parse_generation(int line) {
  Body body = body_until({"endgeneration"});
  (void)skip_name("endgeneration");
  const int inside = body.depth;
  return deep(
      std::make_unique<With>(line, std::vector<std::pair<Target, Operand>>{}, std::move(body)),
      {inside});
}

void Parser::signature(Signature& read) {
  expect_sign("(");
  while (!is_sign(")")) {
    if (!read.parameters.empty()) expect_sign(",");
    read.parameters.push_back(take_name());
    if (skip_sign("=")) {
      read.defaults.push_back(expression());
    } else if (!read.defaults.empty()) {
      unexpected("a default, as the parameter before has one");
    }
  }
  expect_sign(")");
}

// The body of a macro or of a call's block, up to the tag `end`.
void Parser::macro_body(MacroParts& parts, std::string_view end) {
  const int loops = std::exchange(loops_, 0);
  macros_.push_back(&parts.signature);
  parts.body = body_until({end});
  macros_.pop_back();
  loops_ = loops;
  (void)skip_name(end);
}

std::unique_ptr<Statement> Parser::parse_macro(int line) {
  MacroParts parts;
  parts.signature.name = take_name();
  signature(parts.signature);
  macro_body(parts, "endmacro");
  const int depth = parts.depth();
  return deep(std::make_unique<Macro>(line, std::move(parts)), {depth});
}

std::unique_ptr<Statement> Parser::parse_call_block(int line) {
  MacroParts caller;
  caller.signature.name = "caller";
  if (is_sign("(")) signature(caller.signature);
  Operand called = expression();
  if (dynamic_cast<const Call*>(called.get()) == nullptr) {
    fail("line {}: expected a call of a macro", line);
  }
  std::unique_ptr<Call> call(static_cast<Call*>(called.release()));
  macro_body(caller, "endcall");
  const std::initializer_list<int> inside = {call->depth(), caller.depth()};
  return deep(std::make_unique<CallBlock>(line, std::move(call), std::move(caller)), inside);
}

}  // namespace initrt::jinja
