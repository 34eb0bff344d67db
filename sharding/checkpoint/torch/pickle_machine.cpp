#include "sharding/checkpoint/torch/pickle_machine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/checked_json.h"

namespace initrt {
namespace {

constexpr std::size_t kMaxName = 256;  // of a global's module, and of its name
constexpr std::uint8_t kMaxProtocol = 5;
constexpr PickleRef kNothing = ~PickleRef{0};

}  // namespace

std::uint8_t PickleMachine::next_opcode() {
  opcode_ = position_;
  name_ = "an opcode";
  return number<std::uint8_t>();
}

std::span<const std::byte> PickleMachine::take(std::uint64_t bytes) {
  if (bytes > end_ - position_) {
    fail("{}: truncated at byte {}: {} needs {} bytes, but {} are left", pickle_.where, byte(),
         name_, bytes, end_ - position_);
  }
  if (bytes > limits_.bytes - (position_ - begin_)) {
    fail("{}: byte {}: the pickle has more than {} bytes, which are not read", pickle_.where,
         byte(), limits_.bytes);
  }
  const std::span<const std::byte> taken = reader_.view(position_, bytes);
  position_ += bytes;
  return taken;
}

std::string_view PickleMachine::characters(std::uint64_t bytes) {
  const std::span<const std::byte> taken = take(bytes);
  return {reinterpret_cast<const char*>(taken.data()), taken.size()};
}

std::string PickleMachine::line() {
  std::string text;
  for (char next = number<char>(); next != '\n'; next = number<char>()) {
    if (text.size() == kMaxName) wrong("a name of more than {} bytes", kMaxName);
    text += next;
  }
  return text;
}

void PickleMachine::frame() {
  const auto bytes = number<std::uint64_t>();
  if (bytes > end_ - position_) {
    fail("{}: truncated at byte {}: a frame of {} bytes, but {} are left", pickle_.where, byte(),
         bytes, end_ - position_);
  }
}

void PickleMachine::proto() {
  const auto version = number<std::uint8_t>();
  if (version > kMaxProtocol) wrong("protocol {}, expected at most {}", version, kMaxProtocol);
}

void PickleMachine::count_push() {
  if (++pushes_ > limits_.steps) wrong("more than {} steps of the stack", limits_.steps);
}

void PickleMachine::push_ref(PickleRef ref) {
  count_push();
  stack_.push_back(ref);
}

void PickleMachine::push(PickleValue value) {
  if (pickle_.values_.size() == limits_.values) wrong("more than {} values", limits_.values);
  value.byte = static_cast<std::uint32_t>(byte());
  pickle_.values_.push_back(value);
  push_ref(static_cast<PickleRef>(pickle_.values_.size() - 1));
}

void PickleMachine::push_text(Kind kind, std::string_view text) {
  const auto begin = static_cast<std::uint32_t>(pickle_.texts_.size());
  pickle_.texts_ += text;
  push({.kind = kind, .begin = begin, .count = static_cast<std::uint32_t>(text.size())});
}

void PickleMachine::push_long(std::uint64_t bytes) {
  const std::string_view digits = characters(bytes);
  if (digits.size() > sizeof(std::int64_t)) {
    push_text(Kind::Long, digits);
    return;
  }
  const bool negative = !digits.empty() && static_cast<signed char>(digits.back()) < 0;
  std::int64_t value = negative ? -1 : 0;
  std::copy(digits.begin(), digits.end(), reinterpret_cast<char*>(&value));
  push_integer(value);
}

void PickleMachine::push_items(Kind kind, std::span<const PickleRef> items) {
  const auto begin = static_cast<std::uint32_t>(pickle_.tuples_.size());
  pickle_.tuples_.insert(pickle_.tuples_.end(), items.begin(), items.end());
  push({.kind = kind, .begin = begin, .count = static_cast<std::uint32_t>(items.size())});
}

void PickleMachine::push_growing(Kind kind, std::vector<PickleRef> items) {
  if (kind == Kind::Dict && items.size() % 2 != 0) wrong("a key without a value");
  const auto begin = static_cast<std::uint32_t>(pickle_.growing_.size());
  pickle_.growing_.push_back(std::move(items));
  push({.kind = kind, .begin = begin});
}

std::size_t PickleMachine::above_mark() const {
  return stack_.size() - (marks_.empty() ? 0 : marks_.back());
}

PickleRef PickleMachine::top() const {
  if (above_mark() == 0) wrong("there is no value on the stack for it");
  return stack_.back();
}

PickleRef PickleMachine::pop() {
  const PickleRef ref = top();
  stack_.pop_back();
  return ref;
}

void PickleMachine::mark() {
  count_push();
  marks_.push_back(static_cast<PickleRef>(stack_.size()));
}

std::vector<PickleRef> PickleMachine::pop_mark() {
  if (marks_.empty()) wrong("there is no mark on the stack for it");
  const auto first = stack_.begin() + marks_.back();
  std::vector<PickleRef> values(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return values;
}

void PickleMachine::pop_one() {
  if (above_mark() == 0 && !marks_.empty()) {
    marks_.pop_back();
  } else {
    (void)pop();
  }
}

void PickleMachine::tuple_of_top(std::size_t count) {
  std::array<PickleRef, 3> items{};
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  push_items(Kind::Tuple, std::span(items).first(count));
}

void PickleMachine::expect_kind(PickleRef ref, Kind expected, std::string_view what) const {
  if (kind(ref) == expected) return;
  wrong("{} is {}, expected {}", what, kind_name(kind(ref)), kind_name(expected));
}

void PickleMachine::add_to_top(Kind kind, std::span<const PickleRef> items) {
  const PickleValue& into = pickle_.values_[top()];
  // A subclass of dict (OrderedDict) is made by a call, and filled as a dict is.
  const bool object = kind == Kind::Dict && into.kind == Kind::Object;
  if (!object) expect_kind(top(), kind, "what is added to");
  if (kind == Kind::Dict && items.size() % 2 != 0) wrong("a key without a value");
  std::vector<PickleRef>& all =
      object ? pickle_.objects_[into.begin].items : pickle_.growing_[into.begin];
  all.insert(all.end(), items.begin(), items.end());
}

void PickleMachine::set_item() {
  const PickleRef value = pop(), key = pop();
  add_to_top(Kind::Dict, std::array{key, value});
}

void PickleMachine::stop() {
  pickle_.root = pop();
  if (!stack_.empty() || !marks_.empty()) wrong("{} more values are left over", stack_.size());
  pickle_.bytes = position_ - begin_;
  stopped_ = true;
}

void PickleMachine::put(std::uint64_t index) {
  if (index > memo_.size() + 1) {
    wrong("memo entry {} is out of turn: {} are there", index, memo_.size());
  }
  if (index >= limits_.values) wrong("more than {} memo entries", limits_.values);
  if (index >= memo_.size()) memo_.resize(index + 1, kNothing);
  memo_[index] = top();
}

void PickleMachine::get(std::uint64_t index) {
  if (index >= memo_.size() || memo_[index] == kNothing) wrong("there is no memo entry {}", index);
  push_ref(memo_[index]);
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  if (module.size() > kMaxName || name.size() > kMaxName) {
    wrong("a name of more than {} bytes", kMaxName);
  }
  const std::string full = fmt::format("{}.{}", module, name);
  const std::span<const std::string_view> allowed = pickle_.globals_;
  const auto found = std::lower_bound(allowed.begin(), allowed.end(), full);
  if (found == allowed.end() || *found != full) {
    throw NoModelFile(fmt::format(
        "{}: byte {}: the global {} is not one that tensors need; nothing of it was run",
        pickle_.where, byte(), quote(full)));
  }
  push({.kind = Kind::Global, .begin = static_cast<std::uint32_t>(found - allowed.begin())});
}

void PickleMachine::stack_global() {
  const PickleRef name = pop(), module = pop();
  expect_kind(module, Kind::String, "the module");
  expect_kind(name, Kind::String, "the name");
  push_global(pickle_.text(module), pickle_.text(name));
}

void PickleMachine::push_call(PickleRef global, PickleRef args) {
  expect_kind(global, Kind::Global, "what is called");
  expect_kind(args, Kind::Tuple, "what it is called with");
  const auto begin = static_cast<std::uint32_t>(pickle_.objects_.size());
  pickle_.objects_.push_back({.global = global, .args = args, .items = {}});
  push({.kind = Kind::Object, .begin = begin});
}

void PickleMachine::call() {
  const PickleRef args = pop(), global = pop();
  push_call(global, args);
}

void PickleMachine::call_with_keywords() {
  const PickleRef keywords = pop(), args = pop(), global = pop();
  expect_kind(keywords, Kind::Dict, "its keywords");
  if (!pickle_.items(keywords).empty()) wrong("it has keywords, which no tensor needs");
  push_call(global, args);
}

void PickleMachine::build() {
  const PickleRef state = pop();
  expect_kind(top(), Kind::Object, "what is given a state");
  PickleObject& object = pickle_.objects_[pickle_.values_[top()].begin];
  if (object.has_state) wrong("a second state for one value");
  object.state = state;
  object.has_state = true;
}

}  // namespace initrt
