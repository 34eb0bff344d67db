#include "runtime/text/jinja/parser.h"

#include "runtime/text/jinja/constants.h"
#include "runtime/text/jinja/expressions.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

using Type = Token::Type;

constexpr int kMaxNesting = 150;  // of what is read by recursion
constexpr int kMaxDepth = 500;    // of an expression

template <class T>
struct SignMeans {
  std::string_view sign;
  T means;
};

template <class T, std::size_t Count>
const T* meaning(const Token& token, const SignMeans<T> (&signs)[Count]) {
  if (token.type != Type::Sign) return nullptr;
  for (const auto& known : signs) {
    if (known.sign == token.text) return &known.means;
  }
  return nullptr;
}

constexpr SignMeans<Comparison> kComparisons[] = {
    {"==", Comparison::Equal},  {"!=", Comparison::NotEqual},
    {"<", Comparison::Less},    {"<=", Comparison::LessOrEqual},
    {">", Comparison::Greater}, {">=", Comparison::GreaterOrEqual},
};
constexpr SignMeans<Operator> kSums[] = {{"+", Operator::Add}, {"-", Operator::Subtract}};
constexpr SignMeans<Operator> kProducts[] = {{"*", Operator::Multiply},
                                             {"/", Operator::Divide},
                                             {"//", Operator::FloorDivide},
                                             {"%", Operator::Modulo}};
constexpr SignMeans<Operator> kPowers[] = {{"**", Operator::Power}};

}  // namespace

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (parser.nesting_ == kMaxNesting) {
    fail("line {}: nested more than {} deep", parser.now().line, kMaxNesting);
  }
  ++parser.nesting_;
}

bool Parser::is_sign(std::string_view sign) const { return is(Type::Sign) && now().text == sign; }
bool Parser::is_name(std::string_view name) const { return is(Type::Name) && now().text == name; }

bool Parser::skip_sign(std::string_view sign) {
  if (!is_sign(sign)) return false;
  ++at_;
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  ++at_;
  return true;
}

void Parser::unexpected(std::string_view wanted) const {
  const std::string found = is(Type::End)           ? "the end of the template"
                            : is(Type::BlockEnd)    ? "the end of the tag"
                            : is(Type::VariableEnd) ? "the end of the tag"
                            : is(Type::Data)        ? "text"
                                                    : quote(now().text);
  fail("line {}: expected {}, found {}", now().line, wanted, found);
}

void Parser::expect_sign(std::string_view sign) {
  if (!skip_sign(sign)) unexpected(fmt::format("'{}'", sign));
}

void Parser::expect(Type type, std::string_view what) {
  if (!is(type)) unexpected(what);
  ++at_;
}

std::string Parser::take_name() {
  if (!is(Type::Name)) unexpected("a name");
  return tokens_[at_++].text;
}

void Parser::check_depth(const Expression& node) const {
  if (node.depth() > kMaxDepth) fail("line {}: an expression has too many parts", node.line());
}

void Parser::note_name(const std::string& name) {
  if (macros_.empty()) return;
  Signature& macro = *macros_.back();
  if (name == "varargs") macro.takes_more = true;
  if (name == "kwargs") macro.takes_more_named = true;
  if (name == "caller") macro.takes_caller = true;
}

Operand Parser::expression(bool with_condition) {
  const Nesting nesting(*this);
  return with_condition ? condition() : logic_or();
}

Operand Parser::condition() {
  const int line = now().line;
  Operand then = logic_or();
  while (skip_name("if")) {
    Operand test = logic_or();
    Operand otherwise = skip_name("else") ? expression() : nullptr;
    const std::initializer_list<const Expression*> inside = {test.get(), then.get(),
                                                             otherwise.get()};
    then = make<Condition>(inside, line, std::move(test), std::move(then), std::move(otherwise));
  }
  return then;
}

Operand Parser::logic_or() {
  Operand left = logic_and();
  for (int line = now().line; skip_name("or"); line = now().line) {
    Operand right = logic_and();
    left = make<Logic>({left.get(), right.get()}, line, true, std::move(left), std::move(right));
  }
  return left;
}

Operand Parser::logic_and() {
  Operand left = logic_not();
  for (int line = now().line; skip_name("and"); line = now().line) {
    Operand right = logic_not();
    left = make<Logic>({left.get(), right.get()}, line, false, std::move(left), std::move(right));
  }
  return left;
}

Operand Parser::logic_not() {
  const Nesting nesting(*this);
  const int line = now().line;
  if (!skip_name("not")) return comparison();
  Operand operand = logic_not();
  return make<Not>({operand.get()}, line, std::move(operand));
}

Operand Parser::comparison() {
  const int line = now().line;
  Operand left = sum();
  std::vector<Compare::Step> steps;
  int depth = left->depth();
  for (;;) {
    Compare::Step step;
    if (const Comparison* found = meaning(now(), kComparisons)) {
      step.comparison = *found;
      ++at_;
    } else if (skip_name("in")) {
      step.kind = Compare::Kind::In;
    } else if (is_name("not") && after().type == Type::Name && after().text == "in") {
      at_ += 2;
      step.kind = Compare::Kind::NotIn;
    } else {
      break;
    }
    step.right = sum();
    depth = std::max(depth, step.right->depth());
    steps.push_back(std::move(step));
  }
  if (steps.empty()) return left;
  Operand node = make<Compare>({}, line, std::move(left), std::move(steps));
  node->holds(depth);
  check_depth(*node);
  return node;
}

Operand Parser::sum() {
  Operand left = concatenation();
  while (const Operator* op = meaning(now(), kSums)) {
    const int line = tokens_[at_++].line;
    Operand right = concatenation();
    left =
        make<Arithmetic>({left.get(), right.get()}, line, *op, std::move(left), std::move(right));
  }
  return left;
}

Operand Parser::concatenation() {
  const int line = now().line;
  std::vector<Operand> parts;
  parts.push_back(product());
  int depth = parts.front()->depth();
  while (skip_sign("~")) {
    parts.push_back(product());
    depth = std::max(depth, parts.back()->depth());
  }
  if (parts.size() == 1) return std::move(parts.front());
  Operand node = make<Concatenation>({}, line, std::move(parts));
  node->holds(depth);
  check_depth(*node);
  return node;
}

Operand Parser::product() {
  Operand left = power();
  while (const Operator* op = meaning(now(), kProducts)) {
    const int line = tokens_[at_++].line;
    Operand right = power();
    left =
        make<Arithmetic>({left.get(), right.get()}, line, *op, std::move(left), std::move(right));
  }
  return left;
}

Operand Parser::power() {
  Operand left = unary();
  while (const Operator* op = meaning(now(), kPowers)) {
    const int line = tokens_[at_++].line;
    Operand right = unary();
    left =
        make<Arithmetic>({left.get(), right.get()}, line, *op, std::move(left), std::move(right));
  }
  return left;
}

Operand Parser::unary(bool with_filter) {
  const Nesting nesting(*this);
  const int line = now().line;
  const bool minus = is_sign("-");
  Operand node;
  if (minus || is_sign("+")) {
    ++at_;
    Operand operand = unary(false);
    node = make<Sign>({operand.get()}, line, minus, std::move(operand));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

Value Parser::number() {
  const Token& token = tokens_[at_++];
  try {
    if (token.type == Type::Integer) return parse_integer(token.text);
    return parse_real(token.text);
  } catch (const Error& error) {
    fail("line {}: {}", token.line, error.what());
  }
}

Operand Parser::primary() {
  const int line = now().line;
  if (is(Type::Name)) {
    const std::string name = take_name();
    if (name == "true" || name == "True") return make<Constant>({}, line, true);
    if (name == "false" || name == "False") return make<Constant>({}, line, false);
    if (name == "none" || name == "None") return make<Constant>({}, line, None{});
    note_name(name);
    return make<Name>({}, line, name);
  }
  if (is(Type::String)) {
    std::string text;
    while (is(Type::String)) text += tokens_[at_++].text;
    return make<String>({}, line, std::move(text));
  }
  if (is(Type::Integer) || is(Type::Float)) return make<Constant>({}, line, number());
  if (skip_sign("(")) {
    Operand node = tuple(true, true);
    expect_sign(")");
    return node;
  }
  if (is_sign("[")) return list();
  if (is_sign("{")) return dict();
  unexpected("an expression");
}

}  // namespace initrt::jinja
