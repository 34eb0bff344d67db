// Typed access to unchecked JSON.
#include "runtime/text/json_node.h"

#include <nlohmann/json.hpp>

#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// A key as part of a path; in quotes where a file chose it and it is long or not printable.
std::string in_path(std::string_view key) {
  const std::string quoted = in_quotes(key);
  return quoted == fmt::format("\"{}\"", key) ? std::string(key) : quoted;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMax = 60;
  // JSON leaves some control characters as they are: DEL, U+0080 to U+009F.
  const std::string whole = one_line(nlohmann::json(to_valid_utf8(text.substr(0, kMax))).dump());
  return text.size() <= kMax ? whole : whole + "...";
}

JsonNode JsonNode::at(std::string_view key) const {
  if (!value_->is_object()) expected("an object");
  const auto member = value_->find(key);
  if (member == value_->end()) {
    fail("{}{}has no {}", path_, path_.back() == ' ' ? "" : " ", in_quotes(key));
  }
  return {*member, (path_.back() == ' ' ? path_ : path_ + ".") + in_path(key), 0};
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  if (!value_->is_object()) expected("an object");
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return at(key);
}

std::size_t JsonNode::size() const {
  if (!value_->is_array()) expected("an array");
  return value_->size();
}

JsonNode JsonNode::item(std::size_t index) const {
  return {(*value_)[index], fmt::format("{}[{}]", path_, index), 0};
}

const std::string& JsonNode::string() const {
  if (!value_->is_string()) expected("a string");
  return value_->get_ref<const std::string&>();
}

const std::string& JsonNode::utf8() const {
  const std::string& text = string();
  if (to_valid_utf8(text) != text) expected("UTF-8");
  return text;
}

const std::string& JsonNode::character() const {
  const std::string& text = utf8();
  if (text.empty() || utf8_step(text).bytes != text.size()) expected("one character");
  return text;
}

std::size_t JsonNode::count() const {
  const bool negative = !value_->is_number_unsigned() && value_->is_number_integer() &&
                        value_->get<std::int64_t>() < 0;
  if (!value_->is_number_integer() || negative) expected("a count");
  return value_->get<std::size_t>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

TokenId JsonNode::token_id() const {
  // A negative number reads as an unsigned one far above the limit.
  if (!value_->is_number_integer() || value_->get<std::uint64_t>() >= kTokenIdLimit) {
    expected(fmt::format("a token id from 0 to {}", kTokenIdLimit - 1));
  }
  return value_->get<TokenId>();
}

bool JsonNode::flag(std::string_view key, bool fallback) const {
  const std::optional<JsonNode> member = find(key);
  return member ? member->boolean() : fallback;
}

void JsonNode::expected(std::string_view what) const {
  const std::string is = value_->is_structured() ? std::string("an ") + value_->type_name()
                         : value_->is_string()   ? in_quotes(value_->get_ref<const std::string&>())
                                                 : value_->dump();
  fail("{} must be {}, but is {}", path_.back() == ' ' ? path_ + "the document" : path_, what, is);
}

}  // namespace initrt
