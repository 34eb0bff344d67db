// Calls of macros.
#include <algorithm>

#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/statements.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

class MacroObject final : public HostObject {
 public:
  MacroObject(const MacroParts& parts, std::shared_ptr<Scope> scope)
      : parts_(parts), scope_(std::move(scope)) {}

  [[nodiscard]] std::string_view type() const override { return "Macro"; }

  [[nodiscard]] std::optional<Value> attribute(Machine& machine,
                                               std::string_view name) const override {
    if (name == "name") return machine.heap.text(parts_.signature.name);
    return std::nullopt;
  }

  Value call(Machine& machine, Arguments& arguments) const override {
    const Descent descent(machine, parts_.depth());
    const int line = machine.line;
    Output out(machine.heap);
    Frame frame{machine, std::make_shared<Scope>(scope_), out};
    take(frame, arguments);
    parts_.body.run(frame);
    machine.line = line;
    return machine.heap.text(out.take());
  }

 private:
  void take(Frame& frame, const Arguments& arguments) const {
    const Signature& signature = parts_.signature;
    const std::size_t count = signature.parameters.size();
    std::vector<std::optional<Value>> given(count);
    std::vector<Value> more;
    std::vector<DictObject::Entry> more_named;
    for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
      if (i < count) {
        given[i] = arguments.positional[i];
      } else {
        more.push_back(arguments.positional[i]);
      }
    }
    Value caller = None{};
    for (const auto& [name, value] : arguments.named) {
      const auto place = std::find(signature.parameters.begin(), signature.parameters.end(), name);
      if (place != signature.parameters.end()) {
        auto& of_parameter = given[static_cast<std::size_t>(place - signature.parameters.begin())];
        if (of_parameter) fail("macro '{}' is given '{}' twice", signature.name, name);
        of_parameter = value;
      } else if (name == "caller" && signature.takes_caller) {
        caller = value;
      } else {
        if (!signature.takes_more_named) {
          fail("macro '{}' takes no keyword argument '{}'", signature.name, name);
        }
        more_named.emplace_back(frame.machine.heap.text(name), value);
      }
    }
    if (!more.empty() && !signature.takes_more) {
      fail("macro '{}' takes not more than {} argument(s)", signature.name, count);
    }
    if (signature.takes_caller) frame.scope->set("caller", caller_or_undefined(caller));
    if (signature.takes_more) {
      frame.scope->set("varargs", frame.machine.heap.tuple(std::move(more)));
    }
    if (signature.takes_more_named) {
      frame.scope->set("kwargs", frame.machine.heap.dict(std::move(more_named)));
    }
    set_parameters(frame, given);
  }

  static Value caller_or_undefined(const Value& caller) {
    return caller.is<None>() ? undefined("no caller defined") : caller;
  }

  // Defaults may say the parameters before them.
  void set_parameters(Frame& frame, const std::vector<std::optional<Value>>& given) const {
    const Signature& signature = parts_.signature;
    const std::size_t without = given.size() - signature.defaults.size();
    for (std::size_t i = 0; i < given.size(); ++i) {
      const std::string& name = signature.parameters[i];
      if (given[i]) {
        frame.scope->set(name, *given[i]);
      } else if (i >= without) {
        frame.scope->set(name, signature.defaults[i - without]->value(frame));
      } else {
        frame.scope->set(name, undefined(fmt::format("parameter '{}' was not provided", name)));
      }
    }
  }

  const MacroParts& parts_;
  const std::shared_ptr<Scope> scope_;
};

}  // namespace

int MacroParts::depth() const {
  int depth = body.depth;
  for (const Operand& value : signature.defaults) depth = std::max(depth, value->depth());
  return depth + 1;
}

Value MacroParts::bound(Machine& machine, const std::shared_ptr<Scope>& scope) const {
  machine.keep(scope);
  return Host(std::make_shared<const MacroObject>(*this, scope));
}

}  // namespace initrt::jinja
