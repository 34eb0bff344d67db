#include "launch/commands/test_pause.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "launch/machine/stop_signals.h"
#include "sharding/error.h"

namespace initrt {

std::optional<TestPause> test_pause() {
  const char* const variable = std::getenv("INITRT_TEST_PAUSE");
  if (variable == nullptr) return std::nullopt;
  const std::string_view text = variable;
  const std::size_t first = text.find(':'), second = text.find(':', first + 1);
  const std::size_t third = std::min(text.find(':', second + 1), text.size());
  TestPause pause;
  const auto number = [](std::string_view digits, std::uint32_t& value) {
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    return error == std::errc() && end == digits.end();
  };
  const std::string_view stage =
      second == std::string_view::npos ? "" : text.substr(first + 1, second - first - 1);
  if ((stage != "load" && stage != "generate") || !number(text.substr(0, first), pause.rank) ||
      !number(text.substr(second + 1, third - second - 1), pause.unit) ||
      (third < text.size() && (!number(text.substr(third + 1), pause.left) || pause.left == 0))) {
    fail("INITRT_TEST_PAUSE is {}, expected rank:load:unit or rank:generate:unit, perhaps :time",
         text);
  }
  pause.stage = stage == "load" ? Stage::Load : Stage::Generate;
  return pause;
}

void pause_if_asked(std::optional<TestPause>& pause, std::uint32_t rank, Stage stage,
                    std::uint32_t unit) {
  if (!pause || pause->rank != rank || pause->stage != stage || pause->unit != unit) return;
  if (std::atomic_ref(pause->left).fetch_sub(1) != 1) return;
  std::fprintf(stderr, "test pause: rank %u, process %d\n", rank, getpid());
  // Storage that stalls does not hear of a signal.
  while (stage == Stage::Load || asked_to_stop() == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

}  // namespace initrt
