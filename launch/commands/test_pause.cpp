#include "launch/commands/test_pause.h"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sharding/error.h"

namespace initrt {

std::optional<TestPause> test_pause() {
  const char* const variable = std::getenv("INITRT_TEST_PAUSE");
  if (variable == nullptr) return std::nullopt;
  const std::string_view text = variable;
  const std::size_t first = text.find(':'), second = text.find(':', first + 1);
  TestPause pause;
  const auto number = [](std::string_view digits, std::uint32_t& value) {
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    return error == std::errc() && end == digits.end();
  };
  const std::string_view stage =
      second == std::string_view::npos ? "" : text.substr(first + 1, second - first - 1);
  if ((stage != "load" && stage != "generate") || !number(text.substr(0, first), pause.rank) ||
      !number(text.substr(second + 1), pause.unit)) {
    fail("INITRT_TEST_PAUSE is {}, expected rank:load:unit or rank:generate:unit", text);
  }
  pause.stage = stage == "load" ? Stage::Load : Stage::Generate;
  return pause;
}

void pause_if_asked(const std::optional<TestPause>& pause, std::uint32_t rank, Stage stage,
                    std::uint32_t unit) {
  if (!pause || pause->rank != rank || pause->stage != stage || pause->unit != unit) return;
  std::fprintf(stderr, "test pause: rank %u, process %d\n", rank, getpid());
  while (true) ::pause();
}

}  // namespace initrt
