// What the control groups that this process is in allow it: a container's limits, most of all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace initrt {

/// The directory of this process's control group, and those of the groups around it; some may not
/// be there, as a container does not see what is outside of it.
/// @param controller of version 1 ("cpu"); "" for version 2
/// @param root what /proc and /sys are below: "" but in tests
[[nodiscard]] std::vector<std::string> control_group_directories(const std::string& controller,
                                                                 const std::string& root = "");

/// The least number in a file of these directories, such as "pids.max"; nothing where there is no
/// limit. @param controller, root as above
[[nodiscard]] std::optional<std::uint64_t> control_group_limit(const std::string& controller,
                                                               const std::string& file,
                                                               const std::string& root = "");

/// Bytes of memory that this process's control groups allow it, of either version. @param root as
/// above
[[nodiscard]] std::optional<std::uint64_t> control_group_memory(const std::string& root = "");

/// The content of a file, "" if it cannot be read.
[[nodiscard]] std::string control_file(const std::string& path);

/// Cores' worth of time, rounded up, of "QUOTA PERIOD" in microseconds: cpu.max of version 2,
/// cpu.cfs_quota_us and cpu.cfs_period_us of version 1. UINT_MAX where there is no limit ("max",
/// -1) and for what is not such a text.
[[nodiscard]] unsigned parse_cpu_quota(const std::string& text);

/// Of this process: the least of all groups around it. It limits time, not which cores: threads
/// beyond it are stopped for the rest of each period. UINT_MAX: none. @param root as above
[[nodiscard]] unsigned cpu_quota(const std::string& root = "");

}  // namespace initrt
