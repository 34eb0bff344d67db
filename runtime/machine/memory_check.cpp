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

// Of a line "KEY  NUMBER kB", in bytes; 0 where there is none.
std::uint64_t bytes_of(const std::string& text, const char* key) {
  const std::size_t at = text.find(key);
  unsigned long long kib = 0;
  if (at == std::string::npos || std::sscanf(text.c_str() + at, "%*s %llu kB", &kib) != 1) return 0;
  return kib * 1024;
}

constexpr const char* kNeedLess =
    "a smaller precision, context, batch or memory.budget would need less";

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
  const std::uint64_t total = bytes_of(meminfo, "MemTotal:") + bytes_of(meminfo, "SwapTotal:");
  if (total == 0) return {limit, limit};  // the kernel does not tell
  return {std::min(total, limit), std::min(bytes_of(meminfo, "MemAvailable:"), limit)};
}

NodeMemory node_memory() {
  return parse_node_memory(control_file("/proc/meminfo"),
                           control_group_memory().value_or(kNoLimit));
}

std::string memory_warning(std::uint64_t planned, std::uint32_t ranks, const NodeMemory& memory,
                           const std::string& node) {
  if (planned <= memory.available) return "";
  const bool never = planned > memory.total;
  std::string text = fmt::format(
      "the {} rank{} of {} plan{} {} of memory, but it has {}{}: more nodes, {}", ranks,
      ranks == 1 ? "" : "s", node, ranks == 1 ? "s" : "", human_bytes(planned),
      human_bytes(never ? memory.total : memory.available), never ? "" : " available", kNeedLess);
  if (never) throw Error(text);
  return text;
}

std::string check_node_memory(Communicator& comm, std::uint64_t node, std::uint64_t planned) {
  const Sum sum = sum_parts(comm, {node, planned, kNoLimit});
  const std::string warning =
      memory_warning(sum.part.planned, sum.ranks, node_memory(),
                     sum.ranks == comm.size() ? "a node" : "node " + host_name());
  return sum.first == comm.rank() ? warning : "";  // one rank speaks for all
}

ProcessNeeds process_needs(const MemoryPlan& plan, bool discrete_memory,
                           std::uint32_t mapped_ranks) {
  ProcessNeeds needs;
  const std::uint64_t all = plan.host_total(discrete_memory);
  // A shard that others map is shared memory, mapped once to be written and with all others.
  const std::uint64_t shard =
      mapped_ranks > 0 ? plan[MemoryCategory::Shard] + plan[MemoryCategory::Resident] : 0;
  needs.data = all - shard;
  needs.address_space = all + mapped_ranks * shard;
  return needs;
}

std::string beyond_process_limits(const ProcessNeeds& needs, const ProcessLimits& limits,
                                  const std::string& status) {
  const auto beyond = [](const char* what, const char* by, std::uint64_t has, std::uint64_t needed,
                         std::uint64_t limit) -> std::string {
    if (has <= limit && needed <= limit - has) return "";
    return fmt::format(
        "this process has {} of {} and plans {} more, but is limited to {} ({}): a higher limit "
        "would do, and more ranks, {}",
        human_bytes(has), what, human_bytes(needed), human_bytes(limit), by, kNeedLess);
  };
  std::string address_space =
      beyond("address space", "ulimit -v, RLIMIT_AS", bytes_of(status, "VmSize:"),
             needs.address_space, limits.address_space.value_or(kNoLimit));
  if (!address_space.empty()) return address_space;
  return beyond("data", "ulimit -d, RLIMIT_DATA", bytes_of(status, "VmData:"), needs.data,
                limits.data.value_or(kNoLimit));
}

void check_process_limits(const ProcessNeeds& needs) {
  const std::string error =
      beyond_process_limits(needs, process_limits(), control_file("/proc/self/status"));
  if (!error.empty()) throw Error(error);
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
  const std::string beside =
      margin == 0 ? "" : fmt::format(" and the driver some {} beside it", human_bytes(margin));
  fail("{} {} of that GPU's memory{}, but {} has {} free: more GPUs, {}", who, human_bytes(planned),
       beside, gpu, human_bytes(available), kNeedLess);
}

}  // namespace initrt
