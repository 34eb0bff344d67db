#include "runtime/text/jinja/heap.h"

#include <algorithm>

#include "sharding/error.h"

namespace initrt::jinja {
namespace {

constexpr std::size_t kBytesPerStep = 256;
constexpr std::size_t kObjectBytes = 64;  // what a shared object takes beside its content

}  // namespace

Charge::Charge(Heap& heap, std::size_t bytes) : heap_(heap), bytes_(0) { add(bytes); }

Charge::~Charge() { heap_.give_back(bytes_); }

void Charge::add(std::size_t bytes) {
  heap_.take(bytes);
  bytes_ += bytes;
}

Heap::~Heap() {
  for (const Namespace& space : namespaces_) space->attributes.clear();
}

void Heap::expect_room(std::size_t bytes) const {
  if (bytes > limits_.memory - used_) {
    fail("the template takes more than {} bytes of memory", limits_.memory);
  }
}

void Heap::take(std::size_t bytes) {
  expect_room(bytes);
  used_ += bytes;
}

void Heap::step(std::size_t count) {
  steps_ += count;
  if (steps_ > limits_.steps) fail("the template takes more than {} steps", limits_.steps);
}

Value Heap::text(std::string text, bool markup) {
  step(1 + text.size() / kBytesPerStep);
  return std::make_shared<const TextObject>(*this, std::move(text), markup);
}

Value Heap::list(std::vector<Value> items, Flavour flavour) {
  step(1 + items.size());
  auto made = std::make_shared<const ListObject>(*this, std::move(items), flavour);
  if (made->depth > kMaxValueDepth) fail("values are nested more than {} deep", kMaxValueDepth);
  return made;
}

Value Heap::dict(std::vector<DictObject::Entry> entries) {
  step(1 + entries.size());
  auto made = std::make_shared<const DictObject>(*this, std::move(entries));
  if (made->depth > kMaxValueDepth) fail("values are nested more than {} deep", kMaxValueDepth);
  return made;
}

Namespace Heap::make_namespace() {
  step();
  take(2 * kObjectBytes);
  return namespaces_.emplace_back(std::make_shared<NamespaceObject>());
}

void Heap::set(const Namespace& space, std::string_view name, Value value) {
  space->depth = std::max(space->depth, depth_of(value) + 1);
  if (space->depth > kMaxValueDepth) fail("values are nested more than {} deep", kMaxValueDepth);
  if (Value* known = space->find(name)) {
    *known = std::move(value);
    return;
  }
  take(sizeof(Value) + kObjectBytes + name.size());
  space->attributes.emplace_back(name, std::move(value));
}

void Output::operator+=(std::string_view text) {
  const std::size_t most = heap_.limits().output;
  if (text.size() > most - text_.size()) fail("the text has more than {} bytes", most);
  charge_.add(text.size());
  text_ += text;
}

}  // namespace initrt::jinja
