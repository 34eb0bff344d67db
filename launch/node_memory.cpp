#include "launch/node_memory.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <vector>

#include "launch/control_group.h"
#include "launch/progress.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// memory.max of the version 2 control group that this process is in, and of those around it.
std::uint64_t control_group_limit() {
  std::uint64_t limit = kNoLimit;
  for (const std::string& group : control_group_directories("")) {
    unsigned long long bytes = 0;  // the file holds "max" where there is no limit
    const std::string text = control_file(group + "/memory.max");
    if (std::sscanf(text.c_str(), "%llu", &bytes) == 1)
      limit = std::min<std::uint64_t>(limit, bytes);
  }
  return limit;
}

}  // namespace

NodeMemory parse_node_memory(const std::string& meminfo, std::uint64_t limit) {
  const auto bytes_of = [&](const char* key) -> std::uint64_t {
    const std::size_t at = meminfo.find(key);
    unsigned long long kib = 0;
    if (at == std::string::npos || std::sscanf(meminfo.c_str() + at, "%*s %llu kB", &kib) != 1) {
      return 0;
    }
    return kib * 1024;
  };
  const std::uint64_t total = bytes_of("MemTotal:") + bytes_of("SwapTotal:");
  if (total == 0) return {limit, limit};  // the kernel does not tell
  return {std::min(total, limit), std::min(bytes_of("MemAvailable:"), limit)};
}

NodeMemory node_memory() {
  return parse_node_memory(control_file("/proc/meminfo"), control_group_limit());
}

std::string memory_warning(std::uint64_t planned, std::uint32_t ranks, const NodeMemory& memory) {
  if (planned <= memory.available) return "";
  const bool never = planned > memory.total;
  const std::string text = fmt::format(
      "the {} rank{} of a node plan{} {} of memory, but it has {}{}: more nodes, a smaller "
      "precision, context, batch or memory.budget would need less",
      ranks, ranks == 1 ? "" : "s", ranks == 1 ? "s" : "",
      human_bytes(static_cast<double>(planned)),
      human_bytes(static_cast<double>(never ? memory.total : memory.available)),
      never ? "" : " available");
  if (never) throw Error(text);
  return text;
}

std::string check_node_memory(Communicator& comm, std::uint64_t node, std::uint64_t planned) {
  struct Plan {
    std::uint64_t node, bytes;
  };
  const Plan mine{node, planned};
  std::vector<Plan> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  std::uint64_t sum = 0;
  std::uint32_t ranks = 0;
  bool first = true;  // of its node: one rank speaks for all
  for (std::uint32_t rank = 0; rank < comm.size(); ++rank) {
    if (all[rank].node != node) continue;
    sum += all[rank].bytes;
    ++ranks;
    first = first && rank >= comm.rank();
  }
  const std::string warning = memory_warning(sum, ranks, node_memory());
  return first ? warning : "";
}

}  // namespace initrt
