// The functions that every template can call.
#include <array>

#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/machine.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

Value do_range(Machine& machine, Arguments& arguments) {
  constexpr std::int64_t kMaxRange = 100'000;  // as Jinja's sandbox
  const auto [a, b, c] = bind<3>(arguments, "range", {"start", "stop", "step"});
  const std::int64_t start = b ? int_of(a, "start", 0) : 0;
  const std::int64_t stop = int_of(b ? b : given(a, "stop"), "stop", 0);
  const std::int64_t step = int_of(c, "step", 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  std::vector<Value> numbers;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<std::int64_t>(numbers.size()) == kMaxRange) {
      fail("Range too big. The sandbox blocks ranges larger than {}.", kMaxRange);
    }
    numbers.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return machine.heap.list(std::move(numbers), Flavour::Range);
}

// The members that dict() and namespace() are called with.
std::vector<DictObject::Entry> members(Machine& machine, const Arguments& arguments) {
  if (arguments.positional.size() > 1) fail("dict expected at most 1 argument");
  std::vector<DictObject::Entry> entries;
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional.front();
    if (const Dict* dict = from.get<Dict>()) {
      entries = (*dict)->entries;
    } else {
      const List pairs = items_of(machine.heap, from);
      for (const Value& pair : pairs->items) {
        const List both = items_of(machine.heap, pair);
        if (both->items.size() != 2) fail("dict: an element of the sequence is no pair");
        entries.emplace_back(both->items[0], both->items[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(machine.heap.text(name), value);
  }
  return entries;
}

Value do_dict(Machine& machine, Arguments& arguments) {
  return machine.heap.dict(members(machine, arguments));
}

Value do_namespace(Machine& machine, Arguments& arguments) {
  const Namespace made = machine.heap.make_namespace();
  for (const auto& [key, value] : members(machine, arguments)) {
    if (!key.is<Text>()) fail("the attributes of a namespace are named by texts");
    const std::string& name = key.as<Text>()->text;
    if (name.starts_with('_')) {
      fail("a namespace has no attributes that begin with an underscore");
    }
    machine.heap.set(made, name, value);
  }
  return made;
}

Value do_raise(Machine& machine, Arguments& arguments) {
  const auto [message] = bind<1>(arguments, "raise_exception", {"message"});
  fail("the template refuses: {}", quote(to_text(machine.heap, given(message, "message"))));
}

Value do_strftime(Machine& machine, Arguments& arguments) {
  const auto [format] = bind<1>(arguments, "strftime_now", {"format"});
  const std::string how = string_of(given(format, "format"), "format", "");
  constexpr std::string_view kKnown = "aAbBcdDeFgGhHIjklmMnprRsStTuUVwWxXyYzZ%";
  constexpr std::size_t kMaxFormat = 256;
  for (std::size_t at = 0; (at = how.find('%', at)) != std::string::npos; at += 2) {
    const bool flag = at + 1 < how.size() && how[at + 1] == '-';  // glibc's: no padding
    const std::size_t letter = at + (flag ? 2 : 1);
    if (letter >= how.size() || kKnown.find(how[letter]) == std::string_view::npos) {
      fail("strftime_now: the format {} is not known", quote(how));
    }
    at = letter - 1;
  }
  if (how.size() > kMaxFormat || how.find('\0') != std::string::npos) {
    fail("strftime_now: the format {} is too long", quote(how));
  }
  std::array<char, 64 * kMaxFormat> text{};
  const std::size_t bytes = std::strftime(text.data(), text.size(), how.c_str(), &*machine.now());
  return machine.heap.text(std::string(text.data(), bytes));
}

// Texts that take turns, and a text for all but the first time: cycler and joiner.
class Turns final : public HostObject {
 public:
  Turns(Value items, bool joiner) : items_(std::move(items)), joiner_(joiner) {}

  [[nodiscard]] std::string_view type() const override { return joiner_ ? "Joiner" : "Cycler"; }
  [[nodiscard]] bool callable() const override { return joiner_; }
  [[nodiscard]] int depth() const override { return depth_of(items_); }

  Value call(Machine& machine, Arguments& arguments) const override {
    if (!joiner_) return HostObject::call(machine, arguments);
    expect_no_arguments(arguments, "joiner");
    return (*at_)++ == 0 ? machine.heap.text("") : items_.as<List>()->items.front();
  }

  [[nodiscard]] std::optional<Value> attribute(Machine&, std::string_view name) const override {
    if (joiner_) return std::nullopt;
    const List items = items_.as<List>();
    if (name == "current") return items->items[*at_ % items->items.size()];
    if (name == "next") {
      return native(
          [items, at = at_](Machine&, Arguments&) {
            return items->items[(*at)++ % items->items.size()];
          },
          depth());
    }
    if (name == "reset") {
      return native([at = at_](Machine&, Arguments&) -> Value { return *at = 0, None{}; });
    }
    return std::nullopt;
  }

 private:
  Value items_;
  bool joiner_;
  std::shared_ptr<std::size_t> at_ = std::make_shared<std::size_t>(0);
};

Value do_cycler(Machine& machine, Arguments& arguments) {
  if (arguments.positional.empty()) fail("at least one item has to be provided");
  return Host(std::make_shared<const Turns>(machine.heap.tuple(arguments.positional), false));
}

Value do_joiner(Machine& machine, Arguments& arguments) {
  const auto [sep] = bind<1>(arguments, "joiner", {"sep"});
  const Value text = machine.heap.text(string_of(sep, "sep", ", "));
  return Host(std::make_shared<const Turns>(machine.heap.tuple({text}), true));
}

}  // namespace

void add_globals(Machine& machine, Scope& scope) {
  scope.set("range", native(do_range));
  scope.set("dict", native(do_dict));
  scope.set("namespace", native(do_namespace));
  scope.set("raise_exception", native(do_raise));
  scope.set("cycler", native(do_cycler));
  scope.set("joiner", native(do_joiner));
  if (machine.now()) scope.set("strftime_now", native(do_strftime));
}

}  // namespace initrt::jinja
