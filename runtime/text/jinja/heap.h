// What a rendering may take: its memory, its steps, its output.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/value.h"

namespace initrt::jinja {

struct Limits {
  std::size_t memory = 256u << 20;  ///< bytes of values alive at once
  std::size_t output = 64u << 20;   ///< bytes of text
  std::size_t steps = 200'000'000;  ///< parts of the template evaluated, and what they go through
  int depth = 1500;                 ///< parts of the template within one another, calls included
};

/// Most levels of nested values.
inline constexpr int kMaxValueDepth = 100;

/// Makes values and counts what they take. Outlives them.
class Heap {
 public:
  explicit Heap(const Limits& limits) : limits_(limits) {}
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  [[nodiscard]] Value text(std::string text, bool markup = false);
  [[nodiscard]] Value list(std::vector<Value> items, Flavour flavour = Flavour::Array);
  [[nodiscard]] Value tuple(std::vector<Value> items) {
    return list(std::move(items), Flavour::Tuple);
  }
  [[nodiscard]] Value dict(std::vector<DictObject::Entry> entries);
  [[nodiscard]] Namespace make_namespace();
  /// Sets an attribute. @throws Error past kMaxValueDepth
  void set(const Namespace& space, std::string_view name, Value value);

  /// @throws Error where so much more memory is past the limit: to be asked before it is taken
  void expect_room(std::size_t bytes) const;
  /// @throws Error past the limit of steps
  void step(std::size_t count = 1);

  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  friend class Charge;
  void take(std::size_t bytes);
  void give_back(std::size_t bytes) { used_ -= bytes; }

  const Limits limits_;
  std::size_t used_ = 0, steps_ = 0;
  std::vector<Namespace> namespaces_;  ///< all: what they hold goes one by one, whatever holds them
};

/// A growing text, of memory that the heap counts.
class Output {
 public:
  explicit Output(Heap& heap) : heap_(heap), charge_(heap, 0) {}

  /// @throws Error past the limit
  void operator+=(std::string_view text);
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  Heap& heap_;
  std::string text_;
  Charge charge_;
};

}  // namespace initrt::jinja
