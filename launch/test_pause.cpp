#include "launch/test_pause.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "sharding/error.h"

namespace initrt {

std::optional<TestPause> test_pause() {
  const char* const text = std::getenv("INITRT_TEST_PAUSE");
  if (text == nullptr) return std::nullopt;
  TestPause pause;
  std::array<char, 16> stage{};
  int end = 0;
  if (std::sscanf(text, "%u:%15[a-z]:%u%n", &pause.rank, stage.data(), &pause.unit, &end) != 3 ||
      text[end] != 0) {
    fail("INITRT_TEST_PAUSE is \"{}\", expected rank:load:unit or rank:generate:unit", text);
  }
  const std::string name = stage.data();
  if (name != "load" && name != "generate") {
    fail("INITRT_TEST_PAUSE: stage \"{}\" is neither load nor generate", name);
  }
  pause.stage = name == "load" ? Stage::Load : Stage::Generate;
  return pause;
}

void pause_if_asked(const std::optional<TestPause>& pause, std::uint32_t rank, Stage stage,
                    std::uint32_t unit) {
  if (!pause || pause->rank != rank || pause->stage != stage || pause->unit != unit) return;
  std::fprintf(stderr, "test pause: rank %u, process %d\n", rank, getpid());
  while (true) ::pause();
}

}  // namespace initrt
