#include "runtime/machine/device_choice.h"

#include <algorithm>
#include <exception>
#include <span>

#include "runtime/device/cuda/gpus.h"
#include "runtime/machine/gpu_placement.h"
#include "runtime/machine/numa.h"
#include "runtime/machine/placement.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

void check(const MachineOptions& options) {
  // A job's value has been checked; another program's has not.
  if (options.device != "auto" && options.device != "cpu" && options.device != "cuda") {
    fail("device is {}, expected \"auto\", \"cpu\" or \"cuda\"", quote(options.device));
  }
  if (options.device == "cuda" && !cuda::is_built()) {
    fail("device is cuda, but this initrt was built without CUDA (cmake -DINITRT_CUDA=ON)");
  }
}

GpuSite own_site() {
  GpuSite site;
  site.node = node_id();
  site.host = host_name();
  try {
    site.gpus = cuda::visible_gpus();
  } catch (const std::exception& error) {
    site.trouble = error.what();
  }
  return site;
}

// Ranks of a node whose GPUs are near the same cores share these out. Collective.
std::string bind_near_gpu(Communicator& comm, const std::string& bus_id) {
  const Topology topology = Topology::of_this_machine();
  const NearDevice near = near_device(topology, bus_id, allowed_cores());
  struct Near {
    std::uint64_t node, cores;
  };
  const Near mine{node_id(), hash_of(std::as_bytes(std::span(near.cores)))};
  std::vector<Near> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  if (near.cores.empty()) return near.warning;
  std::size_t ranks = 0, index = 0;
  for (std::uint32_t rank = 0; rank < comm.size(); ++rank) {
    if (all[rank].node != mine.node || all[rank].cores != mine.cores) continue;
    if (rank < comm.rank()) ++index;
    ++ranks;
  }
  const std::string warning =
      bind_near(topology, share_of_near_cores(near.cores, ranks, index), near.nodes);
  return near.warning.empty() ? warning : near.warning;
}

}  // namespace

DeviceChoice choose_device(const MachineOptions& options, Communicator& comm) {
  check(options);
  DeviceChoice choice;
  if (options.device == "cpu" || !cuda::is_built()) return choice;
  const std::vector<GpuSite> sites = gather_gpu_sites(comm, own_site());
  const bool none = std::ranges::all_of(
      sites, [](const GpuSite& site) { return site.gpus.empty() && site.trouble.empty(); });
  if (none && options.device == "auto") return choice;

  const std::vector<std::size_t> chosen = choose_gpus(sites, options.share_gpu);
  choice.kind = DeviceKind::Cuda;
  choice.gpu = static_cast<unsigned>(chosen[comm.rank()]);
  for (std::size_t a = 0; a < sites.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      choice.shared =
          choice.shared || (sites[a].node == sites[b].node &&
                            sites[a].gpus[chosen[a]].bus_id == sites[b].gpus[chosen[b]].bus_id);
    }
  }
  const cuda::Gpu& gpu = sites[comm.rank()].gpus[choice.gpu];
  choice.uuid = gpu.uuid;
  choice.warning = bind_near_gpu(comm, gpu.bus_id);
  return choice;
}

DeviceKind planned_device(const MachineOptions& options) {
  if (options.device != "auto")
    return options.device == "cuda" ? DeviceKind::Cuda : DeviceKind::Cpu;
  try {
    return cuda::visible_gpus().empty() ? DeviceKind::Cpu : DeviceKind::Cuda;
  } catch (const std::exception&) {
    return DeviceKind::Cpu;  // a driver that fails: a run says so
  }
}

}  // namespace initrt
