#include "runtime/text/jinja/expressions.h"

#include "runtime/text/jinja/attributes.h"
#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/text_of.h"
#include "sharding/error.h"

namespace initrt::jinja {

Arguments CallArguments::evaluate(Frame& frame) const {
  Heap& heap = frame.machine.heap;
  Arguments arguments;
  arguments.positional.reserve(positional.size());
  for (const Operand& one : positional) arguments.positional.push_back(one->value(frame));
  if (more_positional) {
    const List more = items_of(heap, more_positional->value(frame));
    arguments.positional.insert(arguments.positional.end(), more->items.begin(), more->items.end());
  }
  for (const auto& [name, value] : named) arguments.named.emplace_back(name, value->value(frame));
  if (more_named) {
    const Value more = more_named->value(frame);
    const Dict* dict = more.get<Dict>();
    if (dict == nullptr) fail("the argument after ** must be a mapping, not {}", type_name(more));
    for (const auto& [key, value] : (*dict)->entries) {
      if (!key.is<Text>()) fail("keywords must be strings");
      arguments.named.emplace_back(key.as<Text>()->text, value);
    }
  }
  return arguments;
}

Value FilterCall::apply(Frame& frame, const Value& input) const {
  const Arguments given = arguments.evaluate(frame);
  frame.machine.line = line;
  if (filter == nullptr) fail("no filter named '{}'", name);
  return filter(frame.machine, input, given);
}

Value Name::evaluate(Frame& frame) const {
  if (const Value* found = frame.scope->find(name_)) return *found;
  return undefined(fmt::format("'{}' is undefined", name_));
}

Value Several::evaluate(Frame& frame) const {
  std::vector<Value> items;
  items.reserve(items_.size());
  for (const Operand& item : items_) items.push_back(item->value(frame));
  return frame.machine.heap.list(std::move(items), flavour_);
}

Value DictDisplay::evaluate(Frame& frame) const {
  std::vector<DictObject::Entry> entries;
  entries.reserve(pairs_.size());
  for (const auto& [key, value] : pairs_) {
    Value of_key = key->value(frame);
    entries.emplace_back(std::move(of_key), value->value(frame));
  }
  at_work(frame);
  return frame.machine.heap.dict(std::move(entries));
}

Value Condition::evaluate(Frame& frame) const {
  if (truth(test_->value(frame))) return then_->value(frame);
  if (otherwise_) return otherwise_->value(frame);
  return undefined("the inline if-expression evaluated to false and no else section was defined");
}

Value Logic::evaluate(Frame& frame) const {
  Value left = left_->value(frame);
  return truth(left) == decides_ ? left : right_->value(frame);
}

Value Compare::evaluate(Frame& frame) const {
  Heap& heap = frame.machine.heap;
  Value left = left_->value(frame);
  for (const Step& step : steps_) {
    Value right = step.right->value(frame);
    at_work(frame);
    const bool holds = step.kind == Kind::Ordered
                           ? compare(heap, step.comparison, left, right)
                           : contains(heap, left, right) == (step.kind == Kind::In);
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Arithmetic::evaluate(Frame& frame) const {
  const Value left = left_->value(frame);
  const Value right = right_->value(frame);
  at_work(frame);
  return operate(frame.machine.heap, op_, left, right);
}

Value Sign::evaluate(Frame& frame) const {
  const Value value = operand_->value(frame);
  at_work(frame);
  return minus_ ? negative(value) : negative(negative(value));
}

Value Concatenation::evaluate(Frame& frame) const {
  Output text(frame.machine.heap);
  for (const Operand& part : parts_) {
    const Value value = part->value(frame);
    at_work(frame);
    text += to_text(frame.machine.heap, value);
  }
  return frame.machine.heap.text(text.take());
}

Value Attribute::evaluate(Frame& frame) const {
  const Value object = object_->value(frame);
  at_work(frame);
  return attribute_of(frame.machine, object, name_);
}

Value Item::evaluate(Frame& frame) const {
  const Value object = object_->value(frame);
  const Value key = key_->value(frame);
  at_work(frame);
  return item_of(frame.machine, object, key);
}

Value Slice::evaluate(Frame& frame) const {
  const Value object = object_->value(frame);
  const auto part = [&](const Operand& operand) {
    return operand ? operand->value(frame) : Value(None{});
  };
  const Value start = part(start_), stop = part(stop_), step = part(step_);
  at_work(frame);
  return slice_of(frame.machine, object, start, stop, step);
}

Value Call::called(Frame& frame, const std::optional<Value>& caller) const {
  const Value function = function_->value(frame);
  Arguments arguments = arguments_.evaluate(frame);
  if (caller) arguments.named.emplace_back("caller", *caller);
  at_work(frame);
  return frame.machine.call(function, arguments);
}

Value Tested::evaluate(Frame& frame) const {
  const Value input = input_->value(frame);
  const Arguments arguments = arguments_.evaluate(frame);
  at_work(frame);
  if (test_ == nullptr) fail("no test named '{}'", name_);
  return test_(frame.machine, input, arguments);
}

}  // namespace initrt::jinja
