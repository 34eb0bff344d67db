// Values of a template, which behave as Python's do: text is indexed by code points, dicts keep
// their order, numbers are int or float. All but namespaces are immutable, as in the sandbox that
// transformers renders templates in, so that only a namespace can come to hold itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace initrt::jinja {

class Heap;
class Machine;
class Value;
struct TextObject;
struct ListObject;
struct DictObject;
struct NamespaceObject;
class HostObject;

struct None {};

/// What a name stands for that is not set: false and empty, but an error where more is asked of it.
struct Undefined {
  std::shared_ptr<const std::string> why;  ///< e.g. "'tools' is undefined"
};

using Text = std::shared_ptr<const TextObject>;
using List = std::shared_ptr<const ListObject>;
using Dict = std::shared_ptr<const DictObject>;
using Namespace = std::shared_ptr<NamespaceObject>;
using Host = std::shared_ptr<const HostObject>;

class Value {
 public:
  using Any =
      std::variant<Undefined, None, bool, std::int64_t, double, Text, List, Dict, Namespace, Host>;

  Value() = default;  ///< undefined
  template <class T>
    requires std::is_constructible_v<Any, T> && (!std::is_same_v<std::remove_cvref_t<T>, Value>)
  Value(T&& value) : any_(std::forward<T>(value)) {}  // NOLINT: converts as its parts do

  template <class T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(any_);
  }
  template <class T>
  [[nodiscard]] const T& as() const {
    return std::get<T>(any_);
  }
  template <class T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&any_);
  }
  [[nodiscard]] const Any& any() const { return any_; }

 private:
  Any any_;
};

/// Bytes that are given back to the heap with their owner.
class Charge {
 public:
  Charge(Heap& heap, std::size_t bytes);
  ~Charge();
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  void add(std::size_t bytes);

 private:
  Heap& heap_;
  std::size_t bytes_;
};

struct TextObject {
  TextObject(Heap& heap, std::string content, bool is_markup);

  const std::string text;    ///< UTF-8
  const std::size_t length;  ///< code points
  const bool markup;         ///< the filter `safe`: text joined to it by + is escaped for HTML
  const Charge charge;
};

/// What kinds of lists print as and can do.
enum class Flavour : std::uint8_t {
  Array,  ///< a list
  Tuple,
  Range,
  Keys,  ///< of a dict: has a length, but no index
  Values,
  Items,
  Generator,  ///< true, without length or index, and at its end once it was gone through
};

struct ListObject {
  ListObject(Heap& heap, std::vector<Value> values, Flavour kind);

  const std::vector<Value> items;
  const Flavour flavour;
  const int depth;            ///< levels of nested values
  mutable bool used = false;  ///< of a generator
  const Charge charge;
};

struct DictObject {
  using Entry = std::pair<Value, Value>;

  /// @param pairs of equal keys the last value counts, in the first one's place
  DictObject(Heap& heap, std::vector<Entry> pairs);

  /// Null where there is no such key, or one that is no key.
  [[nodiscard]] const Value* find(const Value& key) const;
  [[nodiscard]] const Value* find(std::string_view key) const;

  std::vector<Entry> entries;
  std::unordered_map<std::string, std::size_t> index;  ///< by key_text()
  int depth = 0;
  Charge charge;
};

/// Made by Heap::make_namespace(), which keeps it to the end.
struct NamespaceObject {
  std::vector<std::pair<std::string, Value>> attributes;
  int depth = 1;

  [[nodiscard]] Value* find(std::string_view name);
};

/// Positional and named arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// What the engine itself provides: functions, macros, `loop`.
class HostObject {
 public:
  virtual ~HostObject() = default;
  [[nodiscard]] virtual bool callable() const { return true; }
  [[nodiscard]] virtual std::string_view type() const { return "function"; }
  virtual Value call(Machine& machine, Arguments& arguments) const;
  /// Levels of the values that it holds.
  [[nodiscard]] virtual int depth() const { return 0; }
  [[nodiscard]] virtual std::optional<Value> attribute(Machine&, std::string_view) const {
    return std::nullopt;
  }
};

/// The name of a value's type as Python has it, for errors.
[[nodiscard]] std::string_view type_name(const Value& value);

/// A key in the form in which equal keys are equal (1, 1.0 and true are); nothing for what can be
/// no key.
[[nodiscard]] std::optional<std::string> key_text(const Value& key);

/// Levels of nested values: 0 for a plain one.
[[nodiscard]] int depth_of(const Value& value);

}  // namespace initrt::jinja
