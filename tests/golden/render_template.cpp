// Renders templates for scripts that compare with another engine. Each line of standard input is
// {"template": text, "variables": object, "now": [year, month, day, hour, minute, second] or null};
// for each a line {"text": text} or {"error": text} goes to standard output.
#include <iostream>
#include <nlohmann/json.hpp>

#include "runtime/text/jinja/template.h"
#include "sharding/error.h"

namespace {

using Json = nlohmann::ordered_json;

std::optional<std::tm> time_of(const Json& now) {
  if (!now.is_array()) return std::nullopt;
  std::tm time{};
  time.tm_year = now[0].get<int>() - 1900;
  time.tm_mon = now[1].get<int>() - 1;
  time.tm_mday = now[2].get<int>();
  time.tm_hour = now[3].get<int>();
  time.tm_min = now[4].get<int>();
  time.tm_sec = now[5].get<int>();
  std::tm normal = time;
  const std::time_t seconds = timegm(&normal);  // fills in the days of week and year
  gmtime_r(&seconds, &time);
  return time;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const Json asked = Json::parse(line);
    Json answer;
    try {
      const initrt::jinja::Template made(asked["template"].get<std::string>());
      answer["text"] = made.render(asked["variables"], time_of(asked.value("now", Json())));
    } catch (const initrt::Error& error) {
      answer["error"] = error.what();
    }
    std::cout << answer.dump() << "\n" << std::flush;
  }
}
