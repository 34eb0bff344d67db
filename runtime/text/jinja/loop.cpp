// {% for %}, and what `loop` tells inside of it.
#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/statements.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

class LoopObject final : public HostObject {
 public:
  /// Runs the loop again for other items: of a recursive one.
  using Again = std::function<Value(Machine&, const Value& items)>;

  LoopObject(List items, int depth, Again again)
      : items_(std::move(items)), depth_(depth), again_(std::move(again)) {}

  void move_to(std::size_t index) const { index_ = index; }

  [[nodiscard]] std::string_view type() const override { return "LoopContext"; }
  [[nodiscard]] bool callable() const override { return again_ != nullptr; }
  [[nodiscard]] int depth() const override { return items_->depth; }

  Value call(Machine& machine, Arguments& arguments) const override {
    if (!again_) fail("the loop must have the \"recursive\" marker to be called recursively");
    const auto [items] = bind<1>(arguments, "loop", {"iterable"});
    return again_(machine, given(items, "iterable"));
  }

  [[nodiscard]] std::optional<Value> attribute(Machine&, std::string_view name) const override {
    const auto index = static_cast<std::int64_t>(index_);
    const auto count = static_cast<std::int64_t>(items_->items.size());
    if (name == "index") return index + 1;
    if (name == "index0") return index;
    if (name == "first") return index == 0;
    if (name == "last") return index + 1 == count;
    if (name == "length") return count;
    if (name == "revindex") return count - index;
    if (name == "revindex0") return count - index - 1;
    if (name == "depth") return std::int64_t{depth_} + 1;
    if (name == "depth0") return std::int64_t{depth_};
    if (name == "previtem") {
      return index > 0 ? items_->items[index_ - 1] : undefined("there is no previous item");
    }
    if (name == "nextitem") {
      return index + 1 < count ? items_->items[index_ + 1] : undefined("there is no next item");
    }
    if (name == "cycle") return cycle();
    if (name == "changed") return changed();
    return std::nullopt;
  }

 private:
  // Methods hold no loop: they are called where it is.
  [[nodiscard]] Value cycle() const {
    return native([index = index_](Machine&, Arguments& arguments) {
      if (arguments.positional.empty()) fail("no items for cycling given");
      return arguments.positional[index % arguments.positional.size()];
    });
  }

  [[nodiscard]] Value changed() const {
    return native([last = last_](Machine& machine, Arguments& arguments) -> Value {
      const Value now = machine.heap.tuple(arguments.positional);
      const bool same = !last->is<Undefined>() && equal(machine.heap, *last, now);
      *last = now;
      return !same;
    });
  }

  const List items_;
  const int depth_;
  const Again again_;
  mutable std::size_t index_ = 0;
  std::shared_ptr<Value> last_ = std::make_shared<Value>();  ///< what changed() was given
};

}  // namespace

List For::passing(Frame& frame, const List& items) const {
  std::vector<Value> kept;
  for (const Value& item : items->items) {
    Frame inner{frame.machine, std::make_shared<Scope>(frame.scope), frame.out};
    assign(inner, parts_.target, item);
    if (truth(parts_.test->value(inner))) kept.push_back(item);
  }
  return frame.machine.heap.list(std::move(kept)).as<List>();
}

Flow For::loop(Frame& frame, const Value& given_items, int depth) const {
  List items = items_of(frame.machine.heap, given_items);
  if (parts_.test) items = passing(frame, items);
  LoopObject::Again again;
  if (parts_.recursive) {
    again = [this, scope = frame.scope, depth](Machine& machine, const Value& inner_items) {
      const Descent descent(machine, this->depth());
      Output out(machine.heap);
      Frame inner{machine, scope, out};
      (void)loop(inner, inner_items, depth + 1);
      return machine.heap.text(out.take());
    };
  }
  const auto object = std::make_shared<const LoopObject>(items, depth, std::move(again));
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    frame.machine.heap.step();
    object->move_to(i);
    Frame inner{frame.machine, std::make_shared<Scope>(frame.scope), frame.out};
    inner.scope->set("loop", Host(object));
    assign(inner, parts_.target, items->items[i]);
    if (parts_.body.run(inner) == Flow::Break) break;
  }
  return items->items.empty() ? parts_.otherwise.run(frame) : Flow::Next;
}

Flow For::execute(Frame& frame) const { return loop(frame, parts_.items->value(frame), 0); }

}  // namespace initrt::jinja
