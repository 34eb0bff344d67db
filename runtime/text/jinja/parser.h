// The grammar of Jinja 3.1 (its parser.py): expressions in parser.cpp, parse_displays.cpp and
// parse_postfix.cpp, statements in parse_statements.cpp.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/lexer.h"
#include "runtime/text/jinja/statements.h"

namespace initrt::jinja {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  /// The whole template. @throws Error with the line of what is malformed or not known
  [[nodiscard]] Body parse();

 private:
  class Nesting;

  // Tokens.
  [[nodiscard]] const Token& now() const { return tokens_[at_]; }
  [[nodiscard]] const Token& after() const {
    return tokens_[std::min(at_ + 1, tokens_.size() - 1)];
  }
  [[nodiscard]] bool is(Token::Type type) const { return now().type == type; }
  [[nodiscard]] bool is_sign(std::string_view sign) const;
  [[nodiscard]] bool is_name(std::string_view name) const;
  bool skip_sign(std::string_view sign);
  bool skip_name(std::string_view name);
  void expect_sign(std::string_view sign);
  void expect(Token::Type type, std::string_view what);
  std::string take_name();
  [[noreturn]] void unexpected(std::string_view wanted) const;

  /// A node that holds these, whose depth it takes. @throws Error where it is too deep
  template <class Node, class... Arguments>
  Operand make(std::initializer_list<const Expression*> inside, int line, Arguments&&... arguments);
  void check_depth(const Expression& node) const;

  // Expressions, as their functions in Jinja's parser are called.
  Operand expression(bool with_condition = true);
  Operand condition();
  Operand logic_or();
  Operand logic_and();
  Operand logic_not();
  Operand comparison();
  Operand sum();
  Operand concatenation();
  Operand product();
  Operand power();
  Operand unary(bool with_filter = true);
  Operand primary();
  Value number();
  Operand tuple(bool with_condition = true, bool in_parentheses = false, std::string_view end = "");
  [[nodiscard]] bool tuple_ends(std::string_view end) const;
  Operand list();
  Operand dict();
  Operand postfix(Operand node);
  Operand filters_and_tests(Operand node);
  Operand subscript(Operand node);
  Operand index_or_slice(Operand object);
  Operand call(Operand function);
  Operand test(Operand input);
  CallArguments call_arguments(int& depth);
  FilterCall filter_call(int& depth);
  std::vector<FilterCall> filter_calls(int& depth);
  void note_name(const std::string& name);

  // Statements.
  Body body_until(std::initializer_list<std::string_view> ends);
  Body subparse(std::initializer_list<std::string_view> ends);
  std::unique_ptr<Statement> statement();
  std::unique_ptr<Statement> parse_if(int line);
  std::unique_ptr<Statement> parse_for(int line);
  std::unique_ptr<Statement> parse_set(int line);
  std::unique_ptr<Statement> parse_macro(int line);
  std::unique_ptr<Statement> parse_call_block(int line);
  std::unique_ptr<Statement> parse_filter_block(int line);
  std::unique_ptr<Statement> parse_with(int line);
  std::unique_ptr<Statement> parse_generation(int line);
  std::unique_ptr<Statement> parse_leave(int line, Flow flow);
  Target target(bool with_namespace);
  Target one_target(bool with_namespace);
  void macro_body(MacroParts& parts, std::string_view end);
  void signature(Signature& read);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0, loops_ = 0;
  std::vector<Signature*> macros_;  ///< those whose body is read, the innermost last
};

/// Counts what is read within one another.
class Parser::Nesting {
 public:
  /// @throws Error past the limit
  explicit Nesting(Parser& parser);
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser& parser_;
};

template <class Node, class... Arguments>
Operand Parser::make(std::initializer_list<const Expression*> inside, int line,
                     Arguments&&... arguments) {
  int depth = 0;
  for (const Expression* one : inside) depth = std::max(depth, one == nullptr ? 0 : one->depth());
  auto node = std::make_unique<Node>(line, std::forward<Arguments>(arguments)...);
  node->holds(depth);
  check_depth(*node);
  return node;
}

}  // namespace initrt::jinja
