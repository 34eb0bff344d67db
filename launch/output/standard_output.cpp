#include "launch/output/standard_output.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr int kLookMs = 100;  // how often `waiting` is called

[[noreturn]] void fail_with_errno() {
  fail("standard output cannot be written: {}", std::strerror(errno));
}

// Waits until a write of PIPE_BUF bytes does not block, for a pipe has room for so many then.
void wait_for_room(const std::function<void()>& waiting) {
  while (true) {
    pollfd output{STDOUT_FILENO, POLLOUT, 0};
    const int ready = ::poll(&output, 1, kLookMs);
    if (ready > 0) return;  // an error too: the write says which
    if (ready < 0 && errno != EINTR) fail_with_errno();
    if (waiting) waiting();
  }
}

}  // namespace

void write_stdout(std::string_view text, const std::function<void()>& waiting) {
  if (std::fflush(stdout) != 0) fail_with_errno();  // what others have left in its buffer
  while (!text.empty()) {
    wait_for_room(waiting);
    const ssize_t written =
        ::write(STDOUT_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written < 0) fail_with_errno();
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace initrt
