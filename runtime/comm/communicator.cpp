#include "runtime/comm/communicator.h"

#include <fmt/format.h>

namespace initrt {

std::string describe(Stage stage, std::uint32_t unit) {
  switch (stage) {
    case Stage::Start:
      return "starting";
    case Stage::Load:
      return fmt::format("loading unit {}", unit);
    case Stage::Generate:
      return fmt::format("running unit {}", unit);
    case Stage::Output:
      return "writing to standard output";
    case Stage::Finish:
      return "finishing";
  }
  return "";
}

}  // namespace initrt
