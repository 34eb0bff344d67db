#include "runtime/machine/memory_check.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <span>
#include <vector>

#include "runtime/machine/control_group.h"
#include "runtime/machine/placement.h"
#include "sharding/error.h"
#include "sharding/human_bytes.h"

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

/// One rank's part of a memory, or what the ranks of one memory plan together; bytes.
struct Part {
  std::uint64_t memory;  // a number for each
  std::uint64_t planned;
  std::uint64_t available;   // of several that were told different numbers, the least
  std::uint64_t margin = 0;  // beside what is planned
};
struct Sum {
  Part part;
  std::uint32_t ranks = 0, first = 0;  // how many, and the first of them
};

// Of the ranks of this rank's memory. Collective.
Sum sum_parts(Communicator& comm, const Part& mine) {
  std::vector<Part> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  Sum sum{{mine.memory, 0, mine.available}};
  for (std::uint32_t rank = 0; rank < comm.size(); ++rank) {
    if (all[rank].memory != mine.memory) continue;
    if (sum.ranks++ == 0) sum.first = rank;
    sum.part.planned += all[rank].planned;
    sum.part.margin += all[rank].margin;
    sum.part.available = std::min(sum.part.available, all[rank].available);
  }
  return sum;
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
  std::string text = fmt::format(
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
  const Sum sum = sum_parts(comm, {node, planned, kNoLimit});
  const std::string warning = memory_warning(sum.part.planned, sum.ranks, node_memory());
  return sum.first == comm.rank() ? warning : "";  // one rank speaks for all
}

std::uint64_t gpu_margin_bytes(std::uint64_t gpu_bytes) {
  return std::min<std::uint64_t>(gpu_bytes / 64, 512u << 20);
}

void check_gpu_memory(Communicator& comm, const GpuPlan& mine, const std::string& gpu) {
  const Sum sum = sum_parts(
      comm, {hash_of(std::as_bytes(std::span(mine.uuid))), mine.planned, mine.free, mine.margin});
  const auto& [memory, planned, available, margin] = sum.part;
  if (planned <= available && margin <= available - planned) return;
  const std::string who =
      sum.ranks == 1 ? fmt::format("rank {} plans", sum.first)
                     : fmt::format("rank {} and {} more on its GPU plan", sum.first, sum.ranks - 1);
  const std::string beside = margin == 0 ? ""
                                         : fmt::format(" and the driver some {} beside it",
                                                       human_bytes(static_cast<double>(margin)));
  fail(
      "{} {} of that GPU's memory{}, but {} has {} free: more GPUs, a smaller precision, context, "
      "batch or memory.budget would need less",
      who, human_bytes(static_cast<double>(planned)), beside, gpu,
      human_bytes(static_cast<double>(available)));
}

}  // namespace initrt
