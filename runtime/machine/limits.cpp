#include "runtime/machine/limits.h"

#include <sys/resource.h>

#include <cerrno>
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

void add_address_space(std::vector<std::string>& limits) {
  const auto add = [&](std::optional<std::uint64_t> limit, const char* what) {
    if (limit) limits.push_back(fmt::format("{} is limited to {}", what, human_bytes(*limit)));
  };
  const ProcessLimits own = process_limits();
  add(own.address_space, "this process's address space (ulimit -v, RLIMIT_AS)");
  add(own.data, "its data (ulimit -d, RLIMIT_DATA)");
}

}  // namespace

ProcessLimits process_limits() { return {process_limit(RLIMIT_AS), process_limit(RLIMIT_DATA)}; }

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
    auto group = control_group_limit("", "pids.max", root);
    if (!group) group = control_group_limit("pids", "pids.max", root);
    if (group) limits.push_back(fmt::format("those of its control group (pids.max) to {}", *group));
  } else {
    if (const auto group = control_group_memory(root)) {
      limits.push_back(
          fmt::format("memory of its control group (memory.max) to {}", human_bytes(*group)));
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
