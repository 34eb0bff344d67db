// Functions of the engine: how they take their arguments.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/jinja/machine.h"

namespace initrt::jinja {

/// The values of the parameters with these names, in order; nothing for one that is not given.
/// @param function names it in errors
/// @throws Error for an argument that no parameter takes, or that two are given for
template <std::size_t Count>
std::array<std::optional<Value>, Count> bind(const Arguments& arguments, std::string_view function,
                                             const std::array<std::string_view, Count>& names);

/// The same for any number of parameters.
[[nodiscard]] std::vector<std::optional<Value>> bind_all(const Arguments& arguments,
                                                         std::string_view function,
                                                         const std::string_view* names,
                                                         std::size_t count);

template <std::size_t Count>
std::array<std::optional<Value>, Count> bind(const Arguments& arguments, std::string_view function,
                                             const std::array<std::string_view, Count>& names) {
  std::array<std::optional<Value>, Count> bound;
  std::vector<std::optional<Value>> all = bind_all(arguments, function, names.data(), Count);
  std::move(all.begin(), all.end(), bound.begin());
  return bound;
}

/// @throws Error where any argument is given
void expect_no_arguments(const Arguments& arguments, std::string_view function);

/// A parameter's value as an int, a flag, a text; the fallback where it is not given (or, of a
/// text, None). @throws Error naming the parameter where it has another type
[[nodiscard]] std::int64_t int_of(const std::optional<Value>& value, std::string_view name,
                                  std::int64_t fallback);
[[nodiscard]] bool flag_of(const std::optional<Value>& value, bool fallback);
[[nodiscard]] std::string string_of(const std::optional<Value>& value, std::string_view name,
                                    std::string_view fallback);
/// One that must be given.
[[nodiscard]] const Value& given(const std::optional<Value>& value, std::string_view name);

/// A function as a value.
class NativeFunction final : public HostObject {
 public:
  using Body = std::function<Value(Machine&, Arguments&)>;

  /// @param depth levels of the values that the body holds
  explicit NativeFunction(Body body, int depth = 0) : body_(std::move(body)), depth_(depth) {}
  Value call(Machine& machine, Arguments& arguments) const override {
    return body_(machine, arguments);
  }
  [[nodiscard]] int depth() const override { return depth_; }

 private:
  Body body_;
  int depth_;
};

[[nodiscard]] inline Value native(NativeFunction::Body body, int depth = 0) {
  return Host(std::make_shared<const NativeFunction>(std::move(body), depth));
}

/// What a name that begins with an underscore or changes a value is: nothing that can be used.
[[nodiscard]] Value unsafe_attribute(const Value& object, std::string_view name);

/// An undefined value with its reason.
[[nodiscard]] Value undefined(std::string why);

}  // namespace initrt::jinja
