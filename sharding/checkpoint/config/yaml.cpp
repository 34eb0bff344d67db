#include "sharding/checkpoint/config/yaml.h"

#include <yaml.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <string>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 64;

/// One event of libyaml's, freed when it goes out of scope.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event); }

  yaml_event_t event{};
};

/// A plain scalar as the value it stands for.
Json plain_value(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return {};
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* const begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* const end = text.data() + text.size();
  std::uint64_t natural = 0;
  if (const auto [stop, error] = std::from_chars(begin, end, natural);
      error == std::errc() && stop == end) {
    return natural;
  }
  std::int64_t whole = 0;
  if (const auto [stop, error] = std::from_chars(begin, end, whole);
      error == std::errc() && stop == end) {
    return whole;
  }
  double real = 0;
  const bool digits = text.find_first_of("0123456789") != std::string::npos;  // not inf or nan
  if (const auto [stop, error] = std::from_chars(begin, end, real);
      digits && error == std::errc() && stop == end) {
    return real;
  }
  return text;
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view where) : where_(where) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() { yaml_parser_delete(&parser_); }

  Json document() {
    expect(YAML_STREAM_START_EVENT);
    expect(YAML_DOCUMENT_START_EVENT);
    Json value = node(0);
    expect(YAML_DOCUMENT_END_EVENT);
    expect(YAML_STREAM_END_EVENT);
    return value;
  }

 private:
  [[noreturn]] void fail_at(std::size_t line, std::string_view what) const {
    fail("{}: line {}: {}", where_, line + 1, what);
  }

  void next(Event& event) {
    if (yaml_parser_parse(&parser_, &event.event) == 0) {
      fail_at(parser_.problem_mark.line,
              fmt::format("not valid YAML: {}",
                          parser_.problem == nullptr ? "unknown" : parser_.problem));
    }
  }

  void expect(yaml_event_type_t type) {
    Event event;
    next(event);
    if (event.event.type != type) {
      fail_at(event.event.start_mark.line, "expected one YAML document");
    }
  }

  Json node(int depth) {
    Event event;
    next(event);
    return value_of(event.event, depth);
  }

  Json value_of(const yaml_event_t& event, int depth) {
    const std::size_t line = event.start_mark.line;
    if (depth > kMaxDepth) fail_at(line, fmt::format("nested more than {} deep", kMaxDepth));
    switch (event.type) {
      case YAML_SCALAR_EVENT:
        refuse(event.data.scalar.anchor, event.data.scalar.tag, line);
        return scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        refuse(event.data.sequence_start.anchor, event.data.sequence_start.tag, line);
        return sequence(depth);
      case YAML_MAPPING_START_EVENT:
        refuse(event.data.mapping_start.anchor, event.data.mapping_start.tag, line);
        return mapping(depth);
      case YAML_ALIAS_EVENT:
        fail_at(line, "aliases are not read");
      default:
        fail_at(line, "expected a value");
    }
  }

  // What stands for more than it says: a small file of aliases can stand for a huge one.
  void refuse(const yaml_char_t* anchor, const yaml_char_t* tag, std::size_t line) const {
    if (anchor != nullptr) fail_at(line, "anchors are not read");
    if (tag != nullptr) fail_at(line, "tags are not read");
  }

  static Json scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    const std::string text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    return scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_value(text) : Json(text);
  }

  Json sequence(int depth) {
    Json values = Json::array();
    while (true) {
      Event event;
      next(event);
      if (event.event.type == YAML_SEQUENCE_END_EVENT) return values;
      values.push_back(value_of(event.event, depth + 1));
    }
  }

  Json mapping(int depth) {
    Json values = Json::object();
    while (true) {
      Event event;
      next(event);
      if (event.event.type == YAML_MAPPING_END_EVENT) return values;
      const std::size_t line = event.event.start_mark.line;
      if (event.event.type != YAML_SCALAR_EVENT) fail_at(line, "a key that is no text");
      const auto& scalar = event.event.data.scalar;
      const std::string key(reinterpret_cast<const char*>(scalar.value), scalar.length);
      refuse(scalar.anchor, scalar.tag, line);
      if (values.contains(key)) fail_at(line, fmt::format("key {} appears twice", quote(key)));
      values[key] = node(depth + 1);
    }
  }

  const std::string_view where_;
  yaml_parser_t parser_{};
};

}  // namespace

nlohmann::json parse_yaml(std::string_view text, std::string_view where) {
  return Parser(text, where).document();
}

}  // namespace initrt
