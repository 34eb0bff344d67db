#include "launch/output/result_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint32_t kLinesAtOnce = 64;  // are lost at most with the machine, not with the job
constexpr std::chrono::seconds kSyncAfter{2};

std::string ahead_path(const std::string& path) { return path + ".ahead"; }

// Calls `each(line, offset of its end)` for the lines that are whole, without their newlines.
template <class Each>
void for_whole_lines(const std::string& path, const Each& each) {
  std::ifstream file(path, std::ios::binary);
  std::uint64_t end = 0;
  for (std::string line; std::getline(file, line) && !file.eof();)
    each(line, end += line.size() + 1);
  if (file.bad()) fail("{}: cannot be read", path);
}

bool begins_as_result_of(std::string_view line, const PromptText& prompt) {
  return line.starts_with(result_head(prompt)) || line.starts_with(refusal_head(prompt));
}

// "17 {...}" into its number and its result; nothing for what is no such line.
std::optional<std::pair<std::uint32_t, std::string_view>> split_kept(std::string_view line) {
  std::uint32_t index = 0;
  const char* const end = line.data() + line.size();
  const auto [at, error] = std::from_chars(line.data(), end, index);
  if (error != std::errc() || at == end || *at != ' ') return {};
  return std::pair(index, std::string_view(at + 1, static_cast<std::size_t>(end - at - 1)));
}

// The results that were kept and are still to be written.
std::map<std::uint32_t, std::string> read_kept(const std::string& path,
                                               const std::vector<PromptText>& prompts,
                                               std::uint32_t first, std::uint32_t last) {
  std::map<std::uint32_t, std::string> kept;
  for_whole_lines(ahead_path(path), [&](const std::string& line, std::uint64_t) {
    const auto one = split_kept(line);
    // What was written since is known; what is of other prompts is of an output that was removed.
    if (!one || one->first < first || one->first >= last) return;
    if (begins_as_result_of(one->second, prompts[one->first])) {
      kept[one->first] = std::string(one->second) + "\n";
    }
  });
  return kept;
}

std::string find_on_this_rank(const std::string& path, const std::vector<PromptText>& prompts,
                              PromptRange range) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) fail("{}: cannot stat: {}", path, errno_text(errno));
    return "0 0 0";  // whoever removed it does not want what was kept for it
  }
  if (!S_ISREG(status.st_mode)) {
    fail(
        "{}: no regular file, which generate.output must be for a restart to go on from; without "
        "it results go to standard output",
        path);
  }
  FinishedResults found;
  for_whole_lines(path, [&](const std::string& line, std::uint64_t end) {
    const std::uint32_t index = range.first + found.count++;
    if (index >= range.last || !begins_as_result_of(line, prompts[index])) {
      fail(
          "{}: line {} is no result of {}: it is of other prompts; remove the file, or name "
          "another "
          "generate.output",
          path, found.count,
          index < range.last ? fmt::format("prompt {}", index)
                             : fmt::format("these {} prompts", range.last - range.first));
    }
    found.whole_bytes = end;
  });
  std::string text = fmt::format("{} {} {}", status.st_size, found.whole_bytes, found.count);
  for (const auto& [index, line] :
       read_kept(path, prompts, range.first + found.count, range.last)) {
    text += fmt::format(" {}", index);
  }
  return text;
}

int open_to_append(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
  if (fd < 0) fail("{}: cannot be written: {}", path, errno_text(errno));
  return fd;
}

// One run at a time, where the file system can tell.
void lock(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  fail("{}: another run is writing its results there", path);
}

void sync_file(int fd, const std::string& path) {
  if (::fdatasync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS) return;
  fail("{}: cannot be written: {}", path, errno_text(errno));
}

}  // namespace

FinishedResults find_finished(Files& files, const std::string& path,
                              const std::vector<PromptText>& prompts, PromptRange range) {
  std::istringstream told(
      files.ask("results in " + path, [&] { return find_on_this_rank(path, prompts, range); }));
  FinishedResults found;
  told >> found.bytes >> found.whole_bytes >> found.count;
  for (std::uint32_t index = 0; told >> index;) found.ahead.push_back(index);
  return found;
}

void mark_done(const FinishedResults& finished, PromptRange range,
               std::vector<PromptText>& prompts) {
  for (std::uint32_t i = 0; i < finished.count; ++i) prompts[range.first + i].done = true;
  for (const std::uint32_t index : finished.ahead) prompts[index].done = true;
}

ResultFile::ResultFile(std::string path, const FinishedResults& finished)
    : path_(std::move(path)), ahead_path_(ahead_path(path_)), file_(open_to_append(path_)) {
  lock(file_.get(), path_);
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) fail("{}: cannot stat: {}", path_, errno_text(errno));
  if (static_cast<std::uint64_t>(status.st_size) != finished.bytes) {
    fail("{}: changed since this run has read it: {} bytes then, {} now", path_, finished.bytes,
         status.st_size);
  }
  bytes_ = finished.whole_bytes;
  if (finished.bytes != bytes_ && ::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0) {
    fail("{}: cannot be written: {}", path_, errno_text(errno));
  }
  if (finished.ahead.empty()) {
    ::unlink(ahead_path_.c_str());
    return;
  }
  for_whole_lines(ahead_path_, [&](const std::string& line, std::uint64_t end) {
    ahead_bytes_ = end;
    const auto one = split_kept(line);
    if (one && std::binary_search(finished.ahead.begin(), finished.ahead.end(), one->first)) {
      kept_[one->first] = std::string(one->second) + "\n";
    }
  });
}

ResultFile::~ResultFile() = default;

// What a full disk takes only a part of is taken back, so that lines stay whole.
void ResultFile::append(int fd, std::uint64_t& bytes, std::string_view line) const {
  std::uint64_t done = 0;
  while (done < line.size()) {
    const ssize_t written = ::write(fd, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      [[maybe_unused]] const int cut = ::ftruncate(fd, static_cast<off_t>(bytes));
      fail("{}: cannot be written: {}", fd == file_.get() ? path_ : ahead_path_, errno_text(error));
    }
    done += static_cast<std::uint64_t>(written);
  }
  bytes += done;
}

void ResultFile::write(std::string_view line) {
  append(file_.get(), bytes_, line);
  ++unsynced_;
}

void ResultFile::keep(std::uint32_t index, std::string_view line) {
  if (!ahead_) {
    ahead_ = FileDescriptor(open_to_append(ahead_path_));
    // A line that an earlier run has not finished.
    if (::ftruncate(ahead_.get(), static_cast<off_t>(ahead_bytes_)) != 0) {
      fail("{}: cannot be written: {}", ahead_path_, errno_text(errno));
    }
  }
  append(ahead_.get(), ahead_bytes_, fmt::format("{} {}", index, line));
  ++unsynced_;
}

void ResultFile::settle(bool none_wait) {
  if (unsynced_ == 0) return;
  if (unsynced_ >= kLinesAtOnce || Clock::now() - synced_ >= kSyncAfter) sync(none_wait);
}

void ResultFile::sync(bool none_wait) {
  sync_file(file_.get(), path_);
  if (ahead_) {
    // By now all that was kept is in the file itself.
    if (none_wait && ahead_bytes_ > 0 && ::ftruncate(ahead_.get(), 0) == 0) ahead_bytes_ = 0;
    sync_file(ahead_.get(), ahead_path_);
  }
  unsynced_ = 0;
  synced_ = Clock::now();
}

void ResultFile::finish(bool complete) {
  sync(complete);
  if (complete) ::unlink(ahead_path_.c_str());
}

}  // namespace initrt
