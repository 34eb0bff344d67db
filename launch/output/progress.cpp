#include "launch/output/progress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "sharding/human_bytes.h"

namespace initrt {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 10ms;  // how late the end may be noticed
constexpr std::chrono::milliseconds kBarStep = 100ms;
constexpr std::chrono::milliseconds kLineStep = 10s;
constexpr int kBarWidth = 30;
constexpr std::chrono::milliseconds kOthers{200};  // most that finish() waits for other ranks

double part_of(const BytesDone& rank) {
  if (!rank.known) return 0.0;
  return rank.total > 0 ? static_cast<double>(rank.done) / static_cast<double>(rank.total) : 1.0;
}

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

Progress::Progress(ProgressStyle style, std::function<std::vector<BytesDone>()> look)
    : style_(style), look_(std::move(look)) {
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
  std::chrono::steady_clock::time_point given_up{};
  while (!stopped_) {
    const std::vector<BytesDone> ranks = look_();
    const auto now = std::chrono::steady_clock::now();
    if (no_hurry_ || !ranks.front().all()) given_up = now + kOthers;
    if (std::ranges::all_of(ranks, &BytesDone::all) || now >= given_up) return show(ranks, true);
    if (now >= next) {
      show(ranks, false);
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
  {
    const std::lock_guard lock(mutex_);
    no_hurry_ = false;
  }
  if (thread_.joinable()) thread_.join();
}

std::string loading_state(const std::vector<BytesDone>& ranks, double seconds) {
  double done = 0, total = 0, least = 1;
  std::size_t slowest = 0;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    done += static_cast<double>(ranks[rank].done);
    total += static_cast<double>(ranks[rank].total);
    if (const double part = part_of(ranks[rank]); part < least) {
      least = part;
      slowest = rank;
    }
  }
  const double all = total > 0 ? done / total : least;  // of those that have said so
  std::string text =
      fmt::format("{:3.0f}%  {} of {}{}, {}/s", 100 * all, human_bytes(done), human_bytes(total),
                  ranks.size() == 1 ? "" : fmt::format(" on {} ranks", ranks.size()),
                  human_bytes(seconds > 0 ? done / seconds : 0.0));
  if (ranks.size() > 1 && least < 1) {
    text += fmt::format(", rank {} at {:.0f}%", slowest, 100 * least);
  }
  return text;
}

void Progress::show(const std::vector<BytesDone>& ranks, bool last) {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  const std::string state = loading_state(ranks, seconds);
  if (style_ == ProgressStyle::Lines) {
    write_out(fmt::format("loading {}\n", state));
    return;
  }
  double done = 0, total = 0;
  for (const BytesDone& rank : ranks) {
    done += static_cast<double>(rank.done);
    total += static_cast<double>(rank.total);
  }
  const int filled = total > 0 ? static_cast<int>(done / total * kBarWidth) : kBarWidth;
  write_out(fmt::format("\r\033[Kloading [{:=<{}}{: <{}}] {}{}", "", filled, "", kBarWidth - filled,
                        state, last ? "\n" : ""));
}

}  // namespace initrt
