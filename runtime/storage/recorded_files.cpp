// The log is a sequence of calls. A call: one byte that tells which, its arguments, one byte that
// tells whether it failed, then its result or the error's text. Numbers are 8 bytes in the host's
// order; texts and byte strings have their length before them.
#include "runtime/storage/recorded_files.h"

#include <cstring>
#include <string>

#include "sharding/error.h"

namespace initrt {
namespace {

enum class Call : std::uint8_t { Stat = 1, List, Read, ReadStream, Ask };

void put(std::vector<std::byte>& log, const void* data, std::uint64_t bytes) {
  const auto* begin = static_cast<const std::byte*>(data);
  log.insert(log.end(), begin, begin + bytes);
}

void put_number(std::vector<std::byte>& log, std::uint64_t value) {
  put(log, &value, sizeof value);
}

void put_string(std::vector<std::byte>& log, std::string_view text) {
  put_number(log, text.size());
  put(log, text.data(), text.size());
}

void put_call(std::vector<std::byte>& log, Call call, const std::string& path) {
  log.push_back(static_cast<std::byte>(call));
  put_string(log, path);
}

constexpr std::byte kDone{0}, kFailed{1};

/// Runs `call`; logs its result by `put_result`, or its error.
template <class Function, class PutResult>
auto record(std::vector<std::byte>& log, const Function& call, const PutResult& put_result) {
  try {
    auto result = call();
    log.push_back(kDone);
    put_result(result);
    return result;
  } catch (const Error& error) {
    log.push_back(kFailed);
    put_string(log, error.what());
    throw;
  }
}

/// Reads the log forward.
class LogReader {
 public:
  LogReader(const std::vector<std::byte>& log, std::size_t& position)
      : log_(log), position_(position) {}

  const std::byte* take(std::uint64_t bytes) {
    if (bytes > log_.size() - position_) {
      fail("replayed headers: the log ends at byte {}, {} more were expected", log_.size(), bytes);
    }
    const std::byte* at = log_.data() + position_;
    position_ += bytes;
    return at;
  }

  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }

  std::string string() {
    const std::uint64_t bytes = number();
    return {reinterpret_cast<const char*>(take(bytes)), bytes};
  }

  /// Fails unless the next call in the log is this one.
  void expect(Call call, const std::string& path) {
    const auto logged = static_cast<Call>(*take(1));
    const std::string logged_path = string();
    if (logged != call || logged_path != path) {
      fail("replayed headers: call {} of {} where call {} of {} was recorded",
           static_cast<int>(call), path, static_cast<int>(logged), logged_path);
    }
  }

  /// Throws the recorded error, if the call failed.
  void outcome() {
    const std::byte result = *take(1);
    if (result == kFailed) throw Error(string());
    if (result != kDone) fail("replayed headers: the log is damaged before byte {}", position_);
  }

  /// A number that is at most `most`.
  std::uint64_t number_to(std::uint64_t most) {
    const std::uint64_t value = number();
    if (value > most) fail("replayed headers: the log is damaged before byte {}", position_);
    return value;
  }

 private:
  const std::vector<std::byte>& log_;
  std::size_t& position_;
};

}  // namespace

std::optional<FileInfo> RecordingFiles::stat(const std::string& path) {
  put_call(log_, Call::Stat, path);
  return record(
      log_, [&] { return inner_.stat(path); },
      [&](const std::optional<FileInfo>& found) {
        put_number(log_, found ? 1 : 0);
        if (!found) return;
        put_number(log_, static_cast<std::uint64_t>(found->kind));
        put_number(log_, found->bytes);
        put_number(log_, found->stamp.system);
        put_number(log_, found->stamp.inode);
        put_number(log_, static_cast<std::uint64_t>(found->stamp.modified_ns));
      });
}

std::vector<std::string> RecordingFiles::list(const std::string& directory) {
  put_call(log_, Call::List, directory);
  return record(
      log_, [&] { return inner_.list(directory); },
      [&](const std::vector<std::string>& names) {
        put_number(log_, names.size());
        for (const std::string& name : names) put_string(log_, name);
      });
}

std::vector<std::byte> RecordingFiles::read(const std::string& path, std::uint64_t offset,
                                            std::uint64_t bytes) {
  put_call(log_, Call::Read, path);
  put_number(log_, offset);
  put_number(log_, bytes);
  return record(
      log_, [&] { return inner_.read(path, offset, bytes); },
      [&](const std::vector<std::byte>& content) { put(log_, content.data(), content.size()); });
}

std::vector<std::byte> RecordingFiles::read_stream(const std::string& path, std::uint64_t limit) {
  put_call(log_, Call::ReadStream, path);
  return record(
      log_, [&] { return inner_.read_stream(path, limit); },
      [&](const std::vector<std::byte>& content) {
        put_number(log_, content.size());
        put(log_, content.data(), content.size());
      });
}

std::string RecordingFiles::ask(const std::string& question,
                                const std::function<std::string()>& answer) {
  put_call(log_, Call::Ask, question);
  return record(
      log_, [&] { return inner_.ask(question, answer); },
      [&](const std::string& text) { put_string(log_, text); });
}

std::optional<FileInfo> ReplayFiles::stat(const std::string& path) {
  LogReader log(log_, position_);
  log.expect(Call::Stat, path);
  log.outcome();
  if (log.number_to(1) == 0) return std::nullopt;
  FileInfo found;
  found.kind =
      static_cast<FileInfo::Kind>(log.number_to(static_cast<std::uint64_t>(FileInfo::Kind::Other)));
  found.bytes = log.number();
  found.stamp.system = log.number();
  found.stamp.inode = log.number();
  found.stamp.modified_ns = static_cast<std::int64_t>(log.number());
  return found;
}

std::vector<std::string> ReplayFiles::list(const std::string& directory) {
  LogReader log(log_, position_);
  log.expect(Call::List, directory);
  log.outcome();
  std::vector<std::string> names;
  for (std::uint64_t left = log.number(); left > 0; --left) names.push_back(log.string());
  return names;
}

std::vector<std::byte> ReplayFiles::read(const std::string& path, std::uint64_t offset,
                                         std::uint64_t bytes) {
  LogReader log(log_, position_);
  log.expect(Call::Read, path);
  const std::uint64_t logged_offset = log.number(), logged_bytes = log.number();
  if (logged_offset != offset || logged_bytes != bytes) {
    fail("replayed headers: {}: {} bytes at byte {} where {} at byte {} were recorded", path, bytes,
         offset, logged_bytes, logged_offset);
  }
  log.outcome();
  const std::byte* content = log.take(bytes);
  return {content, content + bytes};
}

std::vector<std::byte> ReplayFiles::read_stream(const std::string& path, std::uint64_t) {
  LogReader log(log_, position_);
  log.expect(Call::ReadStream, path);
  log.outcome();
  const std::uint64_t bytes = log.number();
  const std::byte* content = log.take(bytes);
  return {content, content + bytes};
}

std::string ReplayFiles::ask(const std::string& question, const std::function<std::string()>&) {
  LogReader log(log_, position_);
  log.expect(Call::Ask, question);
  log.outcome();
  return log.string();
}

}  // namespace initrt
