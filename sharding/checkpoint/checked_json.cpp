#include "sharding/checkpoint/checked_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "sharding/checkpoint/foreign_file.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kLongestName = 200;

// What Python's json writes for numbers that JSON has none for.
struct NonFinite {
  std::string_view word;
  double value;
};
constexpr NonFinite kNonFinite[] = {{"NaN", std::numeric_limits<double>::quiet_NaN()},
                                    {"Infinity", std::numeric_limits<double>::infinity()},
                                    {"-Infinity", -std::numeric_limits<double>::infinity()}};

bool is_delimiter(char byte) {
  return std::string_view(" \t\r\n,:[]{}").find(byte) != std::string_view::npos;
}

bool has(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

// JSON that a parser takes, byte for byte as long as the original: each number that is not finite
// is a 0 in it.
struct FiniteText {
  std::string text;                      // empty where the original has none
  std::map<std::size_t, double> values;  // what those are, by their places among all numbers
};

// The end of the string that begins at `at`, or of the text.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
  return std::min(at + 1, text.size());
}

FiniteText make_finite(std::string_view text) {
  FiniteText finite;
  if (!has(text, "NaN") && !has(text, "Infinity")) return finite;
  std::size_t numbers = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = end_of_string(text, at);
      continue;
    }
    if (is_delimiter(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && !is_delimiter(text[end]) && text[end] != '"') ++end;
    const std::string_view word = text.substr(at, end - at);
    for (const NonFinite& known : kNonFinite) {
      if (word != known.word) continue;
      if (finite.text.empty()) finite.text = text;
      finite.text.replace(at, word.size(), "0" + std::string(word.size() - 1, ' '));
      finite.values.emplace(numbers, known.value);
    }
    const bool is_literal = word == "true" || word == "false" || word == "null";
    if (!is_literal) ++numbers;
    at = end;
  }
  return finite;
}

// What stands for a number that is not finite until the text around it is made.
std::string stand_in(std::string_view word) { return std::string(1, '\x01').append(word); }

void replace_non_finite(nlohmann::ordered_json& value) {
  for (auto& each : value) {
    if (each.is_structured()) replace_non_finite(each);
    if (!each.is_number_float()) continue;
    const auto number = each.get<double>();
    for (const NonFinite& known : kNonFinite) {
      const bool same = std::isnan(number) ? std::isnan(known.value) : number == known.value;
      if (same) each = stand_in(known.word);
    }
  }
}

template <class Json>
Json parse_checked(std::string_view text, std::string_view where) {
  const FiniteText finite = make_finite(text);
  if (!finite.text.empty()) text = finite.text;
  std::size_t numbers = 0;
  std::vector<std::unordered_set<std::string>> keys;  // one set for each object that is open
  using Event = typename Json::parse_event_t;
  const auto check = [&](int depth, Event event, Json& parsed) {
    if (depth > kMaxDepth) fail("{}: nested more than {} deep", where, kMaxDepth);
    if (event == Event::object_start) {
      keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key) {
      const auto& key = parsed.template get_ref<const std::string&>();
      if (!keys.back().insert(key).second) fail("{}: key {} appears twice", where, quote(key));
    } else if (event == Event::value && parsed.is_number()) {
      const auto found = finite.values.find(numbers++);
      if (found != finite.values.end()) parsed = found->second;
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const typename Json::parse_error& error) {
    const std::string what = describe_foreign(text.substr(0, kForeignBytes));
    if (!what.empty()) fail("{}: {}", where, what);
    fail("{}: not valid JSON at byte {}", where, error.byte);
  } catch (const typename Json::out_of_range&) {
    fail("{}: not valid JSON: a number is out of range", where);
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where) {
  return parse_checked<nlohmann::json>(text, where);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view where) {
  return parse_checked<nlohmann::ordered_json>(text, where);
}

std::string json_text(nlohmann::ordered_json value) {
  using Json = nlohmann::ordered_json;
  if (value.is_structured()) replace_non_finite(value);
  std::string text = value.dump(2, ' ', false, Json::error_handler_t::replace);
  for (const NonFinite& known : kNonFinite) {
    const std::string there = Json(stand_in(known.word)).dump();
    for (std::size_t at = text.find(there); at != std::string::npos; at = text.find(there, at)) {
      text.replace(at, there.size(), known.word);
    }
  }
  return text;
}

nlohmann::json read_json_object(Files& files, const std::string& path, std::uint64_t limit) {
  nlohmann::json value = parse_json(files.read_text(path, limit), path);
  if (!value.is_object()) fail("{}: expected a JSON object, found {}", path, value.type_name());
  return value;
}

std::string quote(std::string_view text) {
  const nlohmann::json json = std::string(text.substr(0, kLongestName));
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) +
         (text.size() > kLongestName ? "..." : "");
}

std::string printable(std::string_view text) {
  const std::string quoted = quote(text.substr(0, kLongestName));
  return quoted.substr(1, quoted.size() - 2) + (text.size() > kLongestName ? "..." : "");
}

}  // namespace initrt
