#include "runtime/machine/placement.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <string_view>

#include "runtime/machine/control_group.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::size_t kMaskWords = CPU_SETSIZE / 64;

struct Announcement {
  std::uint64_t node;
  std::uint32_t instruction_set;
  std::uint32_t unused;
  std::array<std::uint64_t, kMaskWords> cores;
};

unsigned count(const std::vector<std::uint64_t>& mask) {
  unsigned bits = 0;
  for (const std::uint64_t word : mask) bits += static_cast<unsigned>(std::popcount(word));
  return bits;
}

bool overlap(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if ((a[i] & b[i]) != 0) return true;
  }
  return false;
}

// Of all ranks that have something to warn of, the first says it, and how many there are.
void keep_first_warning(Communicator& comm, std::string& warning) {
  const std::uint8_t mine = warning.empty() ? 0 : 1;
  std::vector<std::uint8_t> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  if (mine == 0) return;
  const auto first = std::find(all.begin(), all.end(), 1) - all.begin();
  if (first != static_cast<std::ptrdiff_t>(comm.rank())) {
    warning.clear();
  } else if (const auto warned = std::count(all.begin(), all.end(), 1); warned < comm.size()) {
    warning = fmt::format("{} (so on {} of {} ranks)", warning, warned, comm.size());
  }
}

}  // namespace

std::vector<std::uint64_t> allowed_cores() {
  std::vector<std::uint64_t> mask(kMaskWords);
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    mask[0] = 1;
    return mask;
  }
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) mask[core / 64] |= 1ull << core % 64;
  }
  return mask;
}

std::string host_name() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return host.data();
}

std::uint64_t hash_of(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte byte : bytes) {
    hash = (hash ^ std::to_integer<unsigned char>(byte)) * 0x100000001b3u;
  }
  return hash;
}

std::uint64_t node_id() {
  const std::string host = host_name();
  return hash_of(std::as_bytes(std::span(host)));
}

unsigned share_of_cores(const std::vector<RankSite>& sites, std::size_t rank) {
  unsigned sharers = 0;
  for (const RankSite& site : sites) {
    if (site.node == sites[rank].node && overlap(site.cores, sites[rank].cores)) ++sharers;
  }
  return std::max(1u, count(sites[rank].cores) / std::max(1u, sharers));
}

bool may_spin(std::uint64_t threads, const SharedCores& shared) {
  return threads * shared.ranks_on_cores <= shared.cores &&
         threads * shared.ranks_on_node <= shared.quota;
}

CpuPlacement place_on_cpu(const MachineOptions& options, Communicator& comm) {
  const std::vector<std::uint64_t> own = allowed_cores();
  Announcement mine{node_id(), static_cast<std::uint32_t>(best_instruction_set()), 0, {}};
  std::ranges::copy(own, mine.cores.begin());
  std::vector<Announcement> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));

  std::vector<RankSite> sites;
  std::uint32_t set = mine.instruction_set;
  unsigned on_node = 0, on_cores = 0;
  for (const Announcement& rank : all) {
    sites.push_back({rank.node, {rank.cores.begin(), rank.cores.end()}});
    set = std::min(set, rank.instruction_set);
    if (rank.node != mine.node) continue;
    ++on_node;
    on_cores += overlap(sites.back().cores, own) ? 1 : 0;
  }
  CpuPlacement placement;
  placement.instruction_set = static_cast<InstructionSet>(set);
  // A container's quota is of time on all its cores: of the node's ranks, each has its part.
  const unsigned quota = cpu_quota();
  const unsigned share =
      std::min(share_of_cores(sites, comm.rank()), std::max(quota / std::max(on_node, 1u), 1u));
  placement.threads = options.threads == 0 ? share : static_cast<unsigned>(options.threads);
  const unsigned cores = count(own);
  const auto online = static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN));
  placement.spin = may_spin(placement.threads, {on_cores, cores, on_node, quota});
  if (placement.threads * on_cores > cores) {
    placement.warning = fmt::format(
        "{} rank{} of {} thread{} share {} core{}: fewer ranks or threads would be quicker",
        on_cores, on_cores == 1 ? "" : "s", placement.threads, placement.threads == 1 ? "" : "s",
        cores, cores == 1 ? "" : "s");
  } else if (on_cores == 1 && cores * on_node * 2 <= online) {
    placement.warning = fmt::format(
        "a rank may use {} of this node's {} cores; mpirun --bind-to none gives each its share",
        cores, online);
  }
  keep_first_warning(comm, placement.warning);
  return placement;
}

}  // namespace initrt
