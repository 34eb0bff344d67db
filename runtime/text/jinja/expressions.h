// The kinds of expressions.
#pragma once

#include <string>
#include <vector>

#include "runtime/text/jinja/nodes.h"

namespace initrt::jinja {

/// None, true, false, a number.
class Constant final : public Expression {
 public:
  Constant(int line, Value value) : Expression(line), value_(std::move(value)) {}

 private:
  Value evaluate(Frame&) const override { return value_; }
  Value value_;
};

class String final : public Expression {
 public:
  String(int line, std::string text) : Expression(line), text_(std::move(text)) {}

 private:
  Value evaluate(Frame& frame) const override { return frame.machine.heap.text(text_); }
  std::string text_;
};

class Name final : public Expression {
 public:
  Name(int line, std::string name) : Expression(line), name_(std::move(name)) {}

 private:
  Value evaluate(Frame& frame) const override;
  std::string name_;
};

/// A list or a tuple.
class Several final : public Expression {
 public:
  Several(int line, Flavour flavour, std::vector<Operand> items)
      : Expression(line), flavour_(flavour), items_(std::move(items)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Flavour flavour_;
  std::vector<Operand> items_;
};

class DictDisplay final : public Expression {
 public:
  DictDisplay(int line, std::vector<std::pair<Operand, Operand>> pairs)
      : Expression(line), pairs_(std::move(pairs)) {}

 private:
  Value evaluate(Frame& frame) const override;
  std::vector<std::pair<Operand, Operand>> pairs_;
};

/// a if test else b.
class Condition final : public Expression {
 public:
  Condition(int line, Operand test, Operand then, Operand otherwise)
      : Expression(line),
        test_(std::move(test)),
        then_(std::move(then)),
        otherwise_(std::move(otherwise)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Operand test_, then_, otherwise_;  ///< the last may be null: then undefined
};

/// and, or: the first operand that decides.
class Logic final : public Expression {
 public:
  Logic(int line, bool decides, Operand left, Operand right)
      : Expression(line), decides_(decides), left_(std::move(left)), right_(std::move(right)) {}

 private:
  Value evaluate(Frame& frame) const override;
  bool decides_;  ///< the truth of a left side that is the result: true for or
  Operand left_, right_;
};

class Not final : public Expression {
 public:
  Not(int line, Operand operand) : Expression(line), operand_(std::move(operand)) {}

 private:
  Value evaluate(Frame& frame) const override { return !truth(operand_->value(frame)); }
  Operand operand_;
};

/// a < b <= c, a in b.
class Compare final : public Expression {
 public:
  enum class Kind : std::uint8_t { Ordered, In, NotIn };
  struct Step {
    Kind kind = Kind::Ordered;
    Comparison comparison = Comparison::Equal;
    Operand right;
  };
  Compare(int line, Operand left, std::vector<Step> steps)
      : Expression(line), left_(std::move(left)), steps_(std::move(steps)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Operand left_;
  std::vector<Step> steps_;
};

class Arithmetic final : public Expression {
 public:
  Arithmetic(int line, Operator op, Operand left, Operand right)
      : Expression(line), op_(op), left_(std::move(left)), right_(std::move(right)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Operator op_;
  Operand left_, right_;
};

/// -a, +a.
class Sign final : public Expression {
 public:
  Sign(int line, bool minus, Operand operand)
      : Expression(line), minus_(minus), operand_(std::move(operand)) {}

 private:
  Value evaluate(Frame& frame) const override;
  bool minus_;
  Operand operand_;
};

/// a ~ b ~ c.
class Concatenation final : public Expression {
 public:
  Concatenation(int line, std::vector<Operand> parts)
      : Expression(line), parts_(std::move(parts)) {}

 private:
  Value evaluate(Frame& frame) const override;
  std::vector<Operand> parts_;
};

/// a.name.
class Attribute final : public Expression {
 public:
  Attribute(int line, Operand object, std::string name)
      : Expression(line), object_(std::move(object)), name_(std::move(name)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Operand object_;
  std::string name_;
};

/// a[key].
class Item final : public Expression {
 public:
  Item(int line, Operand object, Operand key)
      : Expression(line), object_(std::move(object)), key_(std::move(key)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Operand object_, key_;
};

/// a[start:stop:step], each of which may be null.
class Slice final : public Expression {
 public:
  Slice(int line, Operand object, Operand start, Operand stop, Operand step)
      : Expression(line),
        object_(std::move(object)),
        start_(std::move(start)),
        stop_(std::move(stop)),
        step_(std::move(step)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Operand object_, start_, stop_, step_;
};

class Call final : public Expression {
 public:
  Call(int line, Operand function, CallArguments arguments)
      : Expression(line), function_(std::move(function)), arguments_(std::move(arguments)) {}

  /// The call's value, with one more argument `caller` where that is given.
  [[nodiscard]] Value called(Frame& frame, const std::optional<Value>& caller) const;

 private:
  Value evaluate(Frame& frame) const override { return called(frame, std::nullopt); }
  Operand function_;
  CallArguments arguments_;
};

class Filtered final : public Expression {
 public:
  Filtered(int line, Operand input, FilterCall filter)
      : Expression(line), input_(std::move(input)), filter_(std::move(filter)) {}

 private:
  Value evaluate(Frame& frame) const override { return filter_.apply(frame, input_->value(frame)); }
  Operand input_;
  FilterCall filter_;
};

class Tested final : public Expression {
 public:
  Tested(int line, Operand input, std::string name, CallArguments arguments)
      : Expression(line),
        input_(std::move(input)),
        name_(std::move(name)),
        test_(find_test(name_)),
        arguments_(std::move(arguments)) {}

 private:
  Value evaluate(Frame& frame) const override;
  Operand input_;
  std::string name_;
  Test test_;
  CallArguments arguments_;
};

}  // namespace initrt::jinja
