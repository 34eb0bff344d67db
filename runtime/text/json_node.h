// A value inside JSON that nobody has checked, with the path that led to it, so that every error
// names the key. All readers of tokenizer.json and of GGUF metadata go through it.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/text/tokenizer.h"

namespace initrt {

/// Token ids are below this (the largest vocabularies known have some 300,000 tokens); an id from
/// a file that is larger is an error, not an allocation.
inline constexpr TokenId kTokenIdLimit = 1 << 24;

/// A view: the JSON document must outlive it.
class JsonNode {
 public:
  /// @param document what errors call the whole, e.g. "tokenizer.json"
  JsonNode(const nlohmann::json& value, std::string_view document)
      : value_(&value), path_(std::string(document) + ": ") {}

  [[nodiscard]] const nlohmann::json& value() const { return *value_; }
  /// E.g. "tokenizer.json: model.vocab".
  [[nodiscard]] const std::string& path() const { return path_; }

  /// The member with this key. @throws Error where this is no object or has none.
  [[nodiscard]] JsonNode at(std::string_view key) const;
  /// The member, or nothing where it is absent or null. @throws Error where this is no object.
  [[nodiscard]] std::optional<JsonNode> find(std::string_view key) const;
  /// Elements of an array. @throws Error where this is none.
  [[nodiscard]] std::size_t size() const;
  /// Element `index` < size().
  [[nodiscard]] JsonNode item(std::size_t index) const;

  /// The value as this type. @throws Error naming the path where it has another.
  [[nodiscard]] const std::string& string() const;
  /// A string that is UTF-8, as the text is that it is searched for in, or put into.
  [[nodiscard]] const std::string& utf8() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] TokenId token_id() const;
  /// A string of one character.
  [[nodiscard]] const std::string& character() const;
  /// An integer that is not negative.
  [[nodiscard]] std::size_t count() const;
  /// The boolean member, or `fallback` where it is absent or null.
  [[nodiscard]] bool flag(std::string_view key, bool fallback) const;

  /// Throws the error that this value should have been `what`.
  [[noreturn]] void expected(std::string_view what) const;

 private:
  JsonNode(const nlohmann::json& value, std::string path, int)
      : value_(&value), path_(std::move(path)) {}

  const nlohmann::json* value_;
  std::string path_;
};

/// A value as an error quotes it: short, on one line, always UTF-8.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace initrt
