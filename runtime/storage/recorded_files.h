// Headers read by one rank and known to all: rank 0 opens the checkpoint through RecordingFiles,
// its log is broadcast, and the other ranks run the same code over ReplayFiles without a read.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "sharding/checkpoint/files.h"

namespace initrt {

/// Passes calls on to `inner` (not owned) and logs each with its result; errors are logged too, so
/// that a replay fails with the same text.
class RecordingFiles final : public Files {
 public:
  explicit RecordingFiles(Files& inner) : inner_(inner) {}

  std::optional<FileInfo> stat(const std::string& path) override;
  std::vector<std::string> list(const std::string& directory) override;
  std::vector<std::byte> read(const std::string& path, std::uint64_t offset,
                              std::uint64_t bytes) override;
  std::vector<std::byte> read_stream(const std::string& path, std::uint64_t limit) override;
  std::string ask(const std::string& question, const std::function<std::string()>& answer) override;

  /// The calls so far; what ReplayFiles takes.
  [[nodiscard]] const std::vector<std::byte>& log() const { return log_; }

 private:
  Files& inner_;
  std::vector<std::byte> log_;
};

/// Answers the logged calls in the order in which they were made.
/// @throws Error for any other call, and where the log is damaged.
class ReplayFiles final : public Files {
 public:
  explicit ReplayFiles(std::vector<std::byte> log) : log_(std::move(log)) {}

  std::optional<FileInfo> stat(const std::string& path) override;
  std::vector<std::string> list(const std::string& directory) override;
  std::vector<std::byte> read(const std::string& path, std::uint64_t offset,
                              std::uint64_t bytes) override;
  std::vector<std::byte> read_stream(const std::string& path, std::uint64_t limit) override;
  std::string ask(const std::string& question, const std::function<std::string()>& answer) override;

 private:
  std::vector<std::byte> log_;
  std::size_t position_ = 0;
};

}  // namespace initrt
