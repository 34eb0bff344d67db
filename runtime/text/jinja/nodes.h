// The parts of a template, which evaluate themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/machine.h"
#include "runtime/text/jinja/operators.h"

namespace initrt::jinja {

/// Where a part is evaluated: in which scope, and where its text goes.
struct Frame {
  Machine& machine;
  std::shared_ptr<Scope> scope;
  Output& out;
};

class Expression {
 public:
  explicit Expression(int line) : line_(line) {}
  virtual ~Expression() = default;
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;

  /// @throws Error where values do not fit together, or past a limit
  [[nodiscard]] Value value(Frame& frame) const {
    frame.machine.heap.step();
    return evaluate(frame);
  }

  /// Levels of expressions within it, itself too.
  [[nodiscard]] int depth() const { return depth_; }
  [[nodiscard]] int line() const { return line_; }

  /// Told once by the parser, of each expression inside.
  void holds(int depth) { depth_ = std::max(depth_, depth + 1); }

 protected:
  [[nodiscard]] virtual Value evaluate(Frame& frame) const = 0;
  /// Names this expression's line in errors from here on.
  void at_work(Frame& frame) const { frame.machine.line = line_; }

 private:
  int line_, depth_ = 1;
};

using Operand = std::unique_ptr<Expression>;

/// What a value is given to: a name, an attribute of a namespace, or several of these.
struct Target {
  std::string name;
  std::string attribute;        ///< of the namespace `name`; "": none
  std::vector<Target> several;  ///< instead of a name
};

/// Gives the target its value in the frame's scope.
void assign(Frame& frame, const Target& target, const Value& value);

enum class Flow : std::uint8_t { Next, Break, Continue };

class Statement {
 public:
  explicit Statement(int line) : line_(line) {}
  virtual ~Statement() = default;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Flow run(Frame& frame) const {
    frame.machine.heap.step();
    frame.machine.line = line_;
    return execute(frame);
  }
  [[nodiscard]] int depth() const { return depth_; }
  void holds(int depth) { depth_ = std::max(depth_, depth + 1); }

 protected:
  virtual Flow execute(Frame& frame) const = 0;

 private:
  int line_, depth_ = 1;
};

struct Body {
  std::vector<std::unique_ptr<Statement>> statements;
  int depth = 0;

  Flow run(Frame& frame) const;
};

/// The text that a body makes, in a scope of its own.
[[nodiscard]] Value text_of_body(Frame& frame, const Body& body);

struct Named {
  std::string name;
  Operand value;
};

/// Arguments as a call has them in the source.
struct CallArguments {
  std::vector<Operand> positional;
  std::vector<Named> named;
  Operand more_positional, more_named;  ///< *args and **kwargs; may be null

  [[nodiscard]] Arguments evaluate(Frame& frame) const;
};

struct FilterCall {
  std::string name;
  Filter filter = nullptr;  ///< null where there is none of that name, an error when it is used
  CallArguments arguments;
  int line = 1;

  [[nodiscard]] Value apply(Frame& frame, const Value& input) const;
};

struct Signature {
  std::string name;  ///< of the macro
  std::vector<std::string> parameters;
  std::vector<Operand> defaults;  ///< of the last parameters
  bool takes_more = false;        ///< the body says varargs
  bool takes_more_named = false;  ///< it says kwargs
  bool takes_caller = false;      ///< it says caller
};

}  // namespace initrt::jinja
