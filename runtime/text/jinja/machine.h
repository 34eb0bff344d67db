// One rendering: its values, the scopes that they are in, and where it has come to.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/heap.h"

namespace initrt::jinja {

/// The names that are set in one part of a template (a loop's pass, a macro's call), within those
/// around it.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> around) : around_(std::move(around)) {}

  /// @param name outlives the scope: it is a name of the template or of its variables
  void set(std::string_view name, Value value);
  /// The innermost value of that name; null where there is none.
  [[nodiscard]] const Value* find(std::string_view name) const;
  void clear() { names_.clear(); }

 private:
  std::shared_ptr<Scope> around_;
  std::vector<std::pair<std::string_view, Value>> names_;
};

class Machine {
 public:
  /// @param now what strftime_now tells; nothing: there is no such function
  Machine(const Limits& limits, std::optional<std::tm> now) : heap(limits), now_(now) {}
  ~Machine();

  /// Keeps a scope that a macro refers to: the two may hold each other.
  void keep(std::shared_ptr<Scope> scope);

  /// @throws Error where `function` is none
  Value call(const Value& function, Arguments& arguments);

  [[nodiscard]] const std::optional<std::tm>& now() const { return now_; }

  Heap heap;
  int line = 1;  ///< of the part that is evaluated, for errors

 private:
  friend class Descent;

  std::optional<std::tm> now_;
  std::vector<std::shared_ptr<Scope>> kept_;
  int depth_ = 0;
};

/// Counts parts of the template that are evaluated within one another.
class Descent {
 public:
  /// @param levels of the part that is entered @throws Error past the limit
  Descent(Machine& machine, int levels);
  ~Descent() { machine_.depth_ -= levels_; }
  Descent(const Descent&) = delete;
  Descent& operator=(const Descent&) = delete;

 private:
  Machine& machine_;
  int levels_;
};

/// The variables that every template has: range, dict, namespace, raise_exception, ...
void add_globals(Machine& machine, Scope& scope);

}  // namespace initrt::jinja
