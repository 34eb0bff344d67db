// The file of generate.output: result lines in the prompts' order, and what a restart finds of it.
//
// A line is whole once its newline is there: what follows the last newline was being written when a
// run ended, and the next one cuts it off. Results that wait for others before them are kept in
// "<file>.ahead", a line "INDEX RESULT" each, so that no answer is computed twice.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "launch/job/prompt_file.h"
#include "launch/output/answers.h"
#include "runtime/storage/file_descriptor.h"
#include "sharding/checkpoint/files.h"

namespace initrt {

/// What an earlier run has left.
struct FinishedResults {
  std::uint64_t bytes = 0;           ///< of the file, all of them
  std::uint64_t whole_bytes = 0;     ///< of its whole lines
  std::uint32_t count = 0;           ///< whole lines: results of the range's first prompts
  std::vector<std::uint32_t> ahead;  ///< indices of results that were kept, ascending
};

/// Finds out by reading, on the one rank that reads, and tells the others. @param range of the
/// prompts that the file's lines are of
/// @throws Error naming the line that is of another prompt, and what is no regular file
[[nodiscard]] FinishedResults find_finished(Files& files, const std::string& path,
                                            const std::vector<PromptText>& prompts,
                                            PromptRange range);

/// Marks what is finished as done.
void mark_done(const FinishedResults& finished, PromptRange range,
               std::vector<PromptText>& prompts);

/// Writes results, one run at a time. Every function throws Error naming the path where it cannot
/// be done; then the file ends with a whole line.
class ResultFile final : public ResultOutput {
 public:
  /// Cuts off what is not whole. @throws Error also where another run writes there
  ResultFile(std::string path, const FinishedResults& finished);
  ~ResultFile() override;
  ResultFile(const ResultFile&) = delete;
  ResultFile& operator=(const ResultFile&) = delete;

  /// The lines of `finished.ahead`.
  [[nodiscard]] std::map<std::uint32_t, std::string> take_kept() { return std::move(kept_); }

  void write(std::string_view line) override;
  void keep(std::uint32_t index, std::string_view line) override;
  /// On the disk, if more than a few lines or seconds are not.
  void settle(bool none_wait) override;
  /// On the disk, all of it. @param complete nothing was left to do: no lines are kept any more
  void finish(bool complete);

 private:
  using Clock = std::chrono::steady_clock;
  void append(int fd, std::uint64_t& bytes, std::string_view line) const;
  void sync(bool none_wait);

  const std::string path_, ahead_path_;
  FileDescriptor file_, ahead_;  // ahead_: once there is something to keep
  std::uint64_t bytes_ = 0, ahead_bytes_ = 0;
  std::map<std::uint32_t, std::string> kept_;
  std::uint32_t unsynced_ = 0;  // lines
  Clock::time_point synced_ = Clock::now();
};

}  // namespace initrt
