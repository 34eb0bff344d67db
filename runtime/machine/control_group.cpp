#include "runtime/machine/control_group.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

namespace initrt {
namespace {

constexpr unsigned kNoLimit = std::numeric_limits<unsigned>::max();

// The path in a line "ID:CONTROLLERS:PATH" of /proc/self/cgroup, "" if the controller has another.
std::string path_of(const std::string& line, const std::string& controller) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
  if (second == std::string::npos) return "";
  const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
  const bool is_it = controllers.find("," + controller + ",") != std::string::npos;
  return is_it && line.compare(second, 2, ":/") == 0 ? line.substr(second + 1) : "";
}

}  // namespace

std::string control_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::string> control_group_directories(const std::string& controller,
                                                   const std::string& root) {
  std::istringstream groups(control_file(root + "/proc/self/cgroup"));
  std::string path;
  for (std::string line; std::getline(groups, line) && path.empty();) {
    path = path_of(line, controller);
  }
  const std::string mount = root + "/sys/fs/cgroup" + (controller.empty() ? "" : "/" + controller);
  std::vector<std::string> directories;
  if (path.empty()) return directories;
  while (path.size() > 1) {
    directories.push_back(mount + path);
    path.resize(path.rfind('/'));
  }
  directories.push_back(mount);
  return directories;
}

std::optional<std::uint64_t> control_group_limit(const std::string& controller,
                                                 const std::string& file, const std::string& root) {
  std::optional<std::uint64_t> least;
  for (const std::string& group : control_group_directories(controller, root)) {
    unsigned long long value = 0;  // a file holds "max" where there is no limit
    const std::string text = control_file(group + "/" + file);
    if (std::sscanf(text.c_str(), "%llu", &value) != 1) continue;
    // Version 1 has a number near 2^63 for none.
    if (value < (1ull << 62) && (!least || value < *least)) least = value;
  }
  return least;
}

// Where both versions are mounted, a controller is in one of them.
std::optional<std::uint64_t> control_group_memory(const std::string& root) {
  const auto second = control_group_limit("", "memory.max", root);
  return second ? second : control_group_limit("memory", "memory.limit_in_bytes", root);
}

unsigned parse_cpu_quota(const std::string& text) {
  long long quota = 0, period = 0;
  if (std::sscanf(text.c_str(), "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) {
    return kNoLimit;
  }
  const long long cores = quota / period + (quota % period == 0 ? 0 : 1);
  return static_cast<unsigned>(std::min<long long>(cores, kNoLimit));
}

unsigned cpu_quota(const std::string& root) {
  unsigned least = kNoLimit;
  for (const std::string& group : control_group_directories("", root)) {
    least = std::min(least, parse_cpu_quota(control_file(group + "/cpu.max")));
  }
  for (const std::string& group : control_group_directories("cpu", root)) {
    least = std::min(least, parse_cpu_quota(control_file(group + "/cpu.cfs_quota_us") + " " +
                                            control_file(group + "/cpu.cfs_period_us")));
  }
  return least;
}

}  // namespace initrt
