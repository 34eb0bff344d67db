#include "runtime/text/jinja/statements.h"

#include "runtime/text/jinja/text_of.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

void print(Frame& frame, const Value& value) {
  if (const Text* text = value.get<Text>()) {
    frame.out += (*text)->text;
  } else {
    frame.out += to_text(frame.machine.heap, value);
  }
}

Value filtered(Frame& frame, const std::vector<FilterCall>& filters, Value value) {
  for (const FilterCall& filter : filters) value = filter.apply(frame, value);
  return value;
}

void assign_attribute(Frame& frame, const Target& target, const Value& value) {
  const Value* owner = frame.scope->find(target.name);
  if (owner == nullptr || !owner->is<Namespace>()) {
    fail("cannot assign attribute on non-namespace object '{}'", target.name);
  }
  if (target.attribute.starts_with('_')) {
    fail("a namespace has no attributes that begin with an underscore");
  }
  frame.machine.heap.set(owner->as<Namespace>(), target.attribute, value);
}

}  // namespace

void assign(Frame& frame, const Target& target, const Value& value) {
  if (!target.attribute.empty()) return assign_attribute(frame, target, value);
  if (target.several.empty()) return frame.scope->set(target.name, value);
  const List items = items_of(frame.machine.heap, value);
  if (items->items.size() != target.several.size()) {
    fail("cannot unpack {} values into {} names", items->items.size(), target.several.size());
  }
  for (std::size_t i = 0; i < target.several.size(); ++i) {
    assign(frame, target.several[i], items->items[i]);
  }
}

Flow Body::run(Frame& frame) const {
  for (const auto& statement : statements) {
    const Flow flow = statement->run(frame);
    if (flow != Flow::Next) return flow;
  }
  return Flow::Next;
}

Value text_of_body(Frame& frame, const Body& body) {
  Output out(frame.machine.heap);
  Frame inner{frame.machine, std::make_shared<Scope>(frame.scope), out};
  body.run(inner);
  return frame.machine.heap.text(out.take());
}

Flow DataStatement::execute(Frame& frame) const {
  frame.out += text_;
  return Flow::Next;
}

Flow Print::execute(Frame& frame) const {
  print(frame, value_->value(frame));
  return Flow::Next;
}

Flow If::execute(Frame& frame) const {
  for (const Branch& branch : branches_) {
    if (!branch.test || truth(branch.test->value(frame))) return branch.body.run(frame);
  }
  return Flow::Next;
}

Flow Set::execute(Frame& frame) const {
  assign(frame, target_, value_->value(frame));
  return Flow::Next;
}

Flow SetBlock::execute(Frame& frame) const {
  assign(frame, target_, filtered(frame, filters_, text_of_body(frame, body_)));
  return Flow::Next;
}

Flow FilterBlock::execute(Frame& frame) const {
  print(frame, filtered(frame, filters_, text_of_body(frame, body_)));
  return Flow::Next;
}

Flow With::execute(Frame& frame) const {
  Frame inner{frame.machine, std::make_shared<Scope>(frame.scope), frame.out};
  for (const auto& [target, value] : values_) assign(inner, target, value->value(frame));
  return body_.run(inner);
}

Flow Macro::execute(Frame& frame) const {
  frame.scope->set(parts_.signature.name, parts_.bound(frame.machine, frame.scope));
  return Flow::Next;
}

Flow CallBlock::execute(Frame& frame) const {
  print(frame, call_->called(frame, caller_.bound(frame.machine, frame.scope)));
  return Flow::Next;
}

}  // namespace initrt::jinja
