// Standard output as a pipe whose reader has other things to do.
#include "launch/output/standard_output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "sharding/error.h"

namespace initrt {
namespace {

/// Standard output is a pipe of one page as long as this lives.
class PipedOutput {
 public:
  PipedOutput() {
    std::fflush(stdout);
    before_ = ::dup(STDOUT_FILENO);
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    EXPECT_GE(::fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
    EXPECT_EQ(::fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[1]);
    reader_ = ends[0];
  }
  PipedOutput(const PipedOutput&) = delete;
  PipedOutput& operator=(const PipedOutput&) = delete;
  ~PipedOutput() {
    ::dup2(before_, STDOUT_FILENO);
    ::close(before_);
    ::close(reader_);
  }

  /// What is in the pipe.
  [[nodiscard]] std::string read() const {
    std::string text;
    std::array<char, 4096> some{};
    for (ssize_t got = 1; got > 0;) {
      got = ::read(reader_, some.data(), some.size());
      if (got > 0) text.append(some.data(), static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int before_ = -1, reader_ = -1;
};

TEST(StandardOutput, TellsOfAReaderThatStallsAndGoesOnWhenItReads) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += std::to_string(i) + "\n";
  std::string read;
  int waits = 0;
  {
    const PipedOutput pipe;
    write_stdout(text, [&] {
      if (++waits % 3 == 0) read += pipe.read();
    });
    read += pipe.read();
  }
  EXPECT_EQ(read, text);
  EXPECT_GE(waits, 9) << "three for each page that did not fit";
}

TEST(StandardOutput, AWaitForItsReaderEndsWithWhatTheWatchThrows) {
  const PipedOutput pipe;
  EXPECT_THROW(write_stdout(std::string(10'000, 'x'), [] { fail("rank 1 has failed"); }), Error);
}

}  // namespace
}  // namespace initrt
