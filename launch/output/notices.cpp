#include "launch/output/notices.h"

#include <cstdio>

#include "sharding/error.h"

namespace initrt {

void warn(const std::string& text) {
  const std::string line = "initrt: warning: " + one_line(text) + "\n";
  std::fputs(line.c_str(), stderr);
}

Notices stderr_notices() {
  Notices notices;
  notices.warning = warn;
  notices.note = [](const std::string& text) {
    std::fputs(("initrt: " + one_line(text) + "\n").c_str(), stderr);
  };
  return notices;
}

}  // namespace initrt
