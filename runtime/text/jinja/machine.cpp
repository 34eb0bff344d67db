#include "runtime/text/jinja/machine.h"

#include <algorithm>

#include "runtime/text/jinja/operators.h"
#include "sharding/error.h"

namespace initrt::jinja {

void Scope::set(std::string_view name, Value value) {
  for (auto& [known, old] : names_) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  names_.emplace_back(name, std::move(value));
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->around_.get()) {
    for (const auto& [known, value] : scope->names_) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

Machine::~Machine() {
  for (const auto& scope : kept_) scope->clear();
}

void Machine::keep(std::shared_ptr<Scope> scope) {
  constexpr std::size_t kScopeSteps = 64;  // of memory too: it stays to the end
  heap.step(kScopeSteps);
  kept_.push_back(std::move(scope));
}

Value Machine::call(const Value& function, Arguments& arguments) {
  const Host* host = function.get<Host>();
  if (host != nullptr) return (*host)->call(*this, arguments);
  expect_defined(function);
  fail("'{}' object is not callable", type_name(function));
}

Descent::Descent(Machine& machine, int levels) : machine_(machine), levels_(levels) {
  if (machine.depth_ + levels > machine.heap.limits().depth) {
    fail("the template calls itself too deep");
  }
  machine.depth_ += levels;
}

}  // namespace initrt::jinja
