// The kinds of statements.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja/expressions.h"

namespace initrt::jinja {

/// Text outside of tags.
class DataStatement final : public Statement {
 public:
  DataStatement(int line, std::string text) : Statement(line), text_(std::move(text)) {}

 private:
  Flow execute(Frame& frame) const override;
  std::string text_;
};

/// {{ value }}
class Print final : public Statement {
 public:
  Print(int line, Operand value) : Statement(line), value_(std::move(value)) {}

 private:
  Flow execute(Frame& frame) const override;
  Operand value_;
};

/// {% if %}, {% elif %}, {% else %}
class If final : public Statement {
 public:
  struct Branch {
    Operand test;  ///< null: else
    Body body;
  };
  If(int line, std::vector<Branch> branches) : Statement(line), branches_(std::move(branches)) {}

 private:
  Flow execute(Frame& frame) const override;
  std::vector<Branch> branches_;
};

/// {% for %}
class For final : public Statement {
 public:
  struct Parts {
    Target target;
    Operand items, test;  ///< test may be null
    bool recursive = false;
    Body body, otherwise;
  };
  For(int line, Parts parts) : Statement(line), parts_(std::move(parts)) {}

 private:
  Flow execute(Frame& frame) const override;
  [[nodiscard]] Flow loop(Frame& frame, const Value& items, int depth) const;
  [[nodiscard]] List passing(Frame& frame, const List& items) const;
  Parts parts_;
};

/// {% break %}, {% continue %}
class Leave final : public Statement {
 public:
  Leave(int line, Flow flow) : Statement(line), flow_(flow) {}

 private:
  Flow execute(Frame&) const override { return flow_; }
  Flow flow_;
};

/// {% set name = value %}
class Set final : public Statement {
 public:
  Set(int line, Target target, Operand value)
      : Statement(line), target_(std::move(target)), value_(std::move(value)) {}

 private:
  Flow execute(Frame& frame) const override;
  Target target_;
  Operand value_;
};

/// {% set name | filter %} ... {% endset %}
class SetBlock final : public Statement {
 public:
  SetBlock(int line, Target target, std::vector<FilterCall> filters, Body body)
      : Statement(line),
        target_(std::move(target)),
        filters_(std::move(filters)),
        body_(std::move(body)) {}

 private:
  Flow execute(Frame& frame) const override;
  Target target_;
  std::vector<FilterCall> filters_;
  Body body_;
};

/// {% filter name %} ... {% endfilter %}
class FilterBlock final : public Statement {
 public:
  FilterBlock(int line, std::vector<FilterCall> filters, Body body)
      : Statement(line), filters_(std::move(filters)), body_(std::move(body)) {}

 private:
  Flow execute(Frame& frame) const override;
  std::vector<FilterCall> filters_;
  Body body_;
};

/// {% with name = value %} ... {% endwith %}; without names {% generation %}, a scope of its own.
class With final : public Statement {
 public:
  With(int line, std::vector<std::pair<Target, Operand>> values, Body body)
      : Statement(line), values_(std::move(values)), body_(std::move(body)) {}

 private:
  Flow execute(Frame& frame) const override;
  std::vector<std::pair<Target, Operand>> values_;
  Body body_;
};

/// What a macro, or a call's block, is made of.
struct MacroParts {
  Signature signature;
  Body body;

  /// Levels of what a call evaluates.
  [[nodiscard]] int depth() const;
  /// As a value that is called in `scope`.
  [[nodiscard]] Value bound(Machine& machine, const std::shared_ptr<Scope>& scope) const;
};

/// {% macro name(a, b=1) %} ... {% endmacro %}
class Macro final : public Statement {
 public:
  Macro(int line, MacroParts parts) : Statement(line), parts_(std::move(parts)) {}

 private:
  Flow execute(Frame& frame) const override;
  MacroParts parts_;
};

/// {% call(x) name(a) %} ... {% endcall %}
class CallBlock final : public Statement {
 public:
  CallBlock(int line, std::unique_ptr<Call> call, MacroParts caller)
      : Statement(line), call_(std::move(call)), caller_(std::move(caller)) {}

 private:
  Flow execute(Frame& frame) const override;
  std::unique_ptr<Call> call_;
  MacroParts caller_;
};

}  // namespace initrt::jinja
