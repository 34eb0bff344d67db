#include "runtime/machine/message_memory.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "sharding/human_bytes.h"

namespace initrt {
namespace {

constexpr std::uint64_t kStatBlock = 512;  // what stat(2) counts in

// By name: of Open MPI 4 and 5.
bool is_segment(const std::string& name) {
  return name.starts_with("vader_segment.") || name.starts_with("sm_segment.");
}

}  // namespace

MessageMemory message_memory(const std::string& directory) {
  MessageMemory memory;
  struct statvfs system {};
  if (statvfs(directory.c_str(), &system) != 0) return memory;
  memory.free = std::uint64_t{system.f_frsize} * system.f_bavail;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    struct stat status {};
    if (!is_segment(entry->path().filename().string()) ||
        ::stat(entry->path().c_str(), &status) != 0) {
      continue;
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const std::uint64_t taken = static_cast<std::uint64_t>(status.st_blocks) * kStatBlock;
    ++memory.files;
    memory.to_come += size - std::min(size, taken);
  }
  return memory;
}

std::string message_memory_warning(const MessageMemory& memory, const std::string& node) {
  if (memory.to_come <= memory.free) return "";
  return fmt::format(
      "MPI's messages between the {} ranks of {} may take {} more of /dev/shm, which has {} left: "
      "were it to run out, a rank would die of a bus error; give it more (--shm-size=1g for a "
      "container), or set OMPI_MCA_btl=^vader to send them over sockets",
      memory.files, node, human_bytes(memory.to_come), human_bytes(memory.free));
}

}  // namespace initrt
