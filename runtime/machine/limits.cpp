#include "runtime/machine/limits.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstdio>
#include <new>
#include <optional>
#include <system_error>
#include <vector>

#include "runtime/machine/control_group.h"
#include "sharding/human_bytes.h"

namespace initrt {
namespace {

std::optional<std::uint64_t> process_limit(__rlimit_resource_t resource) {
  struct rlimit limit {};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  return limit.rlim_cur;
}

// The least of a file's numbers in this process's control groups, of version 2 ("") or 1; a file
// holds "max" where there is no limit.
std::optional<std::uint64_t> group_limit(const std::string& controller, const std::string& file,
                                         const std::string& root) {
  std::optional<std::uint64_t> least;
  for (const std::string& group : control_group_directories(controller, root)) {
    unsigned long long value = 0;
    const std::string text = control_file(group + "/" + file);
    if (std::sscanf(text.c_str(), "%llu", &value) != 1) continue;
    // Version 1 has a number near 2^63 for none.
    if (value < (1ull << 62) && (!least || value < *least)) least = value;
  }
  return least;
}

std::string bytes_text(std::uint64_t bytes) { return human_bytes(static_cast<double>(bytes)); }

void add_address_space(std::vector<std::string>& limits) {
  const auto add = [&](__rlimit_resource_t resource, const char* what) {
    const auto limit = process_limit(resource);
    if (limit) limits.push_back(fmt::format("{} is limited to {}", what, bytes_text(*limit)));
  };
  add(RLIMIT_AS, "this process's address space (ulimit -v, RLIMIT_AS)");
  add(RLIMIT_DATA, "its data (ulimit -d, RLIMIT_DATA)");
}

}  // namespace

std::string limits_on(Resource resource, const std::string& root) {
  std::vector<std::string> limits;
  // How much is in use is not told: by now what failed has been unwound. Where address space has a
  // limit, a thread's stack has met it more often than threads have met theirs.
  add_address_space(limits);
  if (resource == Resource::Threads) {
    if (const auto limit = process_limit(RLIMIT_NPROC)) {
      limits.push_back(fmt::format(
          "threads and processes of this user (ulimit -u, RLIMIT_NPROC) are limited to {}",
          *limit));
    }
    auto group = group_limit("", "pids.max", root);
    if (!group) group = group_limit("pids", "pids.max", root);
    if (group) limits.push_back(fmt::format("those of its control group (pids.max) to {}", *group));
  } else {
    auto group = group_limit("", "memory.max", root);
    if (!group) group = group_limit("memory", "memory.limit_in_bytes", root);
    if (group) {
      limits.push_back(
          fmt::format("memory of its control group (memory.max) to {}", bytes_text(*group)));
    }
  }
  return fmt::format("{}", fmt::join(limits, "; "));
}

std::string failure_text(const std::exception& error) {
  std::string text = error.what();
  std::optional<Resource> resource;
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (const auto* known = dynamic_cast<const ResourceError*>(&error)) {
    resource = known->resource();
  } else if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    text = "out of memory: this process could not allocate more";
    resource = Resource::Memory;
  } else if (system != nullptr && system->code() == std::errc::resource_unavailable_try_again) {
    text = "a thread could not be started: " + text;
    resource = Resource::Threads;
  }
  if (!resource) return text;
  const std::string limits = limits_on(*resource);
  return limits.empty() ? text : text + "; " + limits;
}

}  // namespace initrt
