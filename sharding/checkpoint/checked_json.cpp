#include "sharding/checkpoint/checked_json.h"

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "sharding/checkpoint/foreign_file.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kLongestName = 200;

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where) {
  using Json = nlohmann::json;
  std::vector<std::unordered_set<std::string>> keys;  // one set for each object that is open
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth) fail("{}: nested more than {} deep", where, kMaxDepth);
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) fail("{}: key {} appears twice", where, quote(key));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const Json::parse_error& error) {
    const std::string what = describe_foreign(text.substr(0, kForeignBytes));
    if (!what.empty()) fail("{}: {}", where, what);
    fail("{}: not valid JSON at byte {}", where, error.byte);
  } catch (const Json::out_of_range&) {
    fail("{}: not valid JSON: a number is out of range", where);
  }
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
