#include "launch/output/log.h"

#include <cstdio>
#include <utility>

namespace initrt {
namespace {

std::string& log_speaker() {
  static std::string speaker;
  return speaker;
}

}  // namespace

void set_log_speaker(std::string speaker) { log_speaker() = std::move(speaker); }

void write_log(LogLevel level, const std::string& text) {
  std::fputs(log_line(level, log_speaker(), text).c_str(), stderr);
}

Notices log_notices() {
  Notices notices;
  notices.warning = [](const std::string& text) { write_log(LogLevel::Warning, text); };
  notices.note = [](const std::string& text) { write_log(LogLevel::Note, text); };
  return notices;
}

}  // namespace initrt
