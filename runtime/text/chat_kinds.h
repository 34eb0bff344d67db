// What the kinds of chat templates share: parts of a source to know them by, and texts to write.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/chat.h"

namespace initrt {

/// What a kind is recognised in: the template's skeleton (chat_skeleton.h).
class TemplateSource {
 public:
  /// @throws Error as skeleton_of()
  TemplateSource(std::string_view source, const SpecialTexts& special);

  [[nodiscard]] bool has(std::string_view part) const {
    return skeleton_.find(part) != std::string::npos;
  }
  [[nodiscard]] bool has_all(std::initializer_list<std::string_view> parts) const;

  /// What stands between `before` and `after` inside one constant string, where that is somewhere.
  /// @param before ends with the constant's beginning, its quote being the last one in it
  [[nodiscard]] std::optional<std::string> constant_between(std::string_view before,
                                                            std::string_view after) const;

  /// The BOS text where the template writes one, else "". @throws Error where there is no text
  [[nodiscard]] std::string bos() const;
  /// The EOS text. @throws Error where there is none
  [[nodiscard]] std::string eos() const;

 private:
  std::string skeleton_;
  SpecialTexts special_;
};

/// The template, where it is one of the kinds in that file.
[[nodiscard]] std::optional<ChatTemplate> turns_template(const TemplateSource& source);
[[nodiscard]] std::optional<ChatTemplate> alternating_template(const TemplateSource& source);

/// `text` without white space at both ends, as Python's str.strip() and Jinja's trim.
[[nodiscard]] std::string_view trimmed(std::string_view text);

}  // namespace initrt
