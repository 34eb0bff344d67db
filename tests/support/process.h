// Starting real programs, mpirun above all, and looking at what they leave behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace initrt::testing {

struct Finished {
  int exit_code = -1;      ///< 128 + signal where one ended it
  bool timed_out = false;  ///< it was killed, with its process group
  std::chrono::milliseconds took{0};
  std::uint64_t peak_bytes = 0;  ///< most resident memory of the process itself
  std::string out, err;

  /// Lines of standard error that are initrt's own: they begin with "initrt: ".
  [[nodiscard]] std::vector<std::string> own_lines() const;
};

using Environment = std::map<std::string, std::string>;

/// A program under way, in a process group of its own; killed if it is still there at the end.
class Process {
 public:
  /// @param environment added to this process's own and to what lets Open MPI run anywhere
  explicit Process(const std::vector<std::string>& command, const Environment& environment = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  /// Standard error so far.
  [[nodiscard]] std::string err() const;
  /// Sends it a signal: the program itself, not what it has started.
  void send(int signal) const;
  /// Waits for its end, `limit` at the longest.
  Finished wait(std::chrono::seconds limit);

 private:
  std::string directory_;
  pid_t pid_ = -1;
  std::chrono::steady_clock::time_point started_;
};

[[nodiscard]] Finished run(const std::vector<std::string>& command,
                           const Environment& environment = {},
                           std::chrono::seconds limit = std::chrono::seconds(60));

/// The content of a file; "" where there is none.
[[nodiscard]] std::string contents(const std::string& path);

}  // namespace initrt::testing
