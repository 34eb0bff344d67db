#include "launch/output/progress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "sharding/error.h"

namespace initrt {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 10ms;  // how late the end may be noticed
constexpr std::chrono::milliseconds kBarStep = 100ms;
constexpr std::chrono::milliseconds kLineStep = 10s;
constexpr int kBarWidth = 30;

// mpirun gives ranks pipes; its own streams say whether a person is watching.
bool launcher_on_terminal() {
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr && std::getenv("PMI_RANK") == nullptr) {
    return false;
  }
  const std::string stream = fmt::format("/proc/{}/fd/2", getppid());
  const int fd = open(stream.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  const bool terminal = isatty(fd) == 1;
  close(fd);
  return terminal;
}

// Of all that is shown by this process: whether it is over, and whether a bar waits for its end.
std::mutex shown_mutex;
bool shown_is_over = false;
bool bar_is_open = false;

void write_out(std::string_view text) {
  const std::lock_guard lock(shown_mutex);
  if (shown_is_over) return;
  bar_is_open = !text.ends_with('\n');
  // One write: what several processes say does not mix.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

std::string human_bytes(double bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < kUnits.size(); ++unit) bytes /= 1000;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.3g} {}", bytes, kUnits[unit]);
}

void end_all_progress() {
  const std::lock_guard lock(shown_mutex);
  if (bar_is_open) [[maybe_unused]]
    const ssize_t written = write(STDERR_FILENO, "\n", 1);
  bar_is_open = false;
  shown_is_over = true;
}

ProgressStyle progress_style(const std::string& name) {
  if (name == "off") return ProgressStyle::Off;
  if (name == "bar") return ProgressStyle::Bar;
  if (name == "lines") return ProgressStyle::Lines;
  const bool terminal = isatty(STDERR_FILENO) == 1 || launcher_on_terminal();
  return terminal ? ProgressStyle::Bar : ProgressStyle::Lines;
}

Progress::Progress(ProgressStyle style, std::uint64_t total_bytes,
                   std::function<std::uint64_t()> done)
    : style_(style), total_bytes_(total_bytes), done_(std::move(done)) {
  if (style_ == ProgressStyle::Off) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    // No thread left for it: the run itself goes on.
  }
}

void Progress::run() {
  std::unique_lock lock(mutex_);
  const auto step = style_ == ProgressStyle::Bar ? kBarStep : kLineStep;
  auto next = started_ + step;
  while (!stopped_) {
    const std::uint64_t bytes = done_();
    if (bytes >= total_bytes_) return show(bytes, true);
    if (const auto now = std::chrono::steady_clock::now(); now >= next) {
      show(bytes, false);
      next = now + step;
    }
    wake_.wait_for(lock, kLook, [this] { return stopped_; });
  }
}

Progress::~Progress() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  finish();
}

void Progress::finish() {
  if (thread_.joinable()) thread_.join();
}

void Progress::show(std::uint64_t bytes, bool last) {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  const double fraction =
      total_bytes_ == 0 ? 1.0 : static_cast<double>(bytes) / static_cast<double>(total_bytes_);
  const std::string state = fmt::format(
      "{:3.0f}%  {} of {} per rank, {}/s", 100 * fraction, human_bytes(static_cast<double>(bytes)),
      human_bytes(static_cast<double>(total_bytes_)),
      human_bytes(seconds > 0 ? static_cast<double>(bytes) / seconds : 0.0));
  if (style_ == ProgressStyle::Lines) {
    write_out(fmt::format("loading {}\n", state));
    return;
  }
  const int filled = static_cast<int>(fraction * kBarWidth);
  write_out(fmt::format("\r\033[Kloading [{:=<{}}{: <{}}] {}{}", "", filled, "", kBarWidth - filled,
                        state, last ? "\n" : ""));
}

}  // namespace initrt
