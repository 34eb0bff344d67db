// Jinja templates, as far as chat templates go: what models publish with their tokenizers, rendered
// as transformers renders it (its sandbox, with trim_blocks, lstrip_blocks, loop controls and its
// own functions). A template sees its variables and nothing of the machine, changes nothing but its
// own namespaces, and ends within limits.
//
// A source becomes tokens (lexer.h), these a tree (parser.h) of expressions and statements that
// evaluate themselves (nodes.h) to values (value.h) that a heap counts (heap.h).
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/jinja/heap.h"

namespace initrt::jinja {

struct Body;

class Template {
 public:
  /// @param source bytes that are not UTF-8 are read as U+FFFD
  /// @throws Error "line 3: ..." for what is malformed or no part of Jinja that is known here
  explicit Template(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  /// The text, UTF-8. Several threads may call it at once.
  /// @param variables an object: what the template sees, besides Jinja's own functions
  /// @param now what strftime_now() tells; nothing: the template has no such function
  /// @throws Error "line 3: ..." where the template refuses, values do not fit, or a limit is
  /// passed
  [[nodiscard]] std::string render(const nlohmann::ordered_json& variables,
                                   const std::optional<std::tm>& now = std::nullopt,
                                   const Limits& limits = {}) const;

 private:
  std::unique_ptr<const Body> body_;
};

}  // namespace initrt::jinja
