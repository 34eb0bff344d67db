#include "runtime/machine/numa.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string_view>
#include <system_error>

#include "sharding/error.h"

namespace initrt {
namespace {

struct FreeBitmap {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, FreeBitmap>;

Bitmap bitmap_of(const std::vector<unsigned>& indices) {
  Bitmap bitmap(hwloc_bitmap_alloc());
  for (const unsigned index : indices) hwloc_bitmap_set(bitmap.get(), index);
  return bitmap;
}

bool is_set(const std::vector<std::uint64_t>& mask, unsigned core) {
  return core / 64 < mask.size() && (mask[core / 64] >> core % 64 & 1) != 0;
}

// Those of `within` that `allowed` has, in the machine's order: threads of a core, cores of a
// cache.
std::vector<unsigned> cores_of(hwloc_topology_t topology, hwloc_const_cpuset_t within,
                               const std::vector<std::uint64_t>& allowed) {
  std::vector<unsigned> cores;
  hwloc_obj_t core = nullptr;
  while ((core = hwloc_get_next_obj_inside_cpuset_by_type(topology, within, HWLOC_OBJ_PU, core)) !=
         nullptr) {
    if (is_set(allowed, core->os_index)) cores.push_back(core->os_index);
  }
  return cores;
}

// A device's own memory can be a NUMA node too, and so can memory that is scarce (HBM) or slow.
bool is_main_memory(hwloc_obj_t node) {
  return node->subtype == nullptr || std::string_view(node->subtype) == "DRAM";
}

std::vector<unsigned> memory_of(hwloc_topology_t topology, hwloc_const_nodeset_t within) {
  std::vector<unsigned> nodes;
  hwloc_obj_t node = nullptr;
  while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != nullptr) {
    if (hwloc_bitmap_isset(within, node->os_index) != 0 && is_main_memory(node)) {
      nodes.push_back(node->os_index);
    }
  }
  return nodes;
}

}  // namespace

Topology Topology::of_this_machine() {
  Topology machine;
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return machine;
  machine.topology_.reset(topology);
  // PCI devices are read from sysfs, not by the component "pci", which is not installed everywhere
  // and leaks. What a device is to other libraries ("cuda0") is not asked: that would start them.
  // Where it is not installed, there is nothing to be left out.
  static_cast<void>(
      hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "pci"));
  const bool loaded = hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PCI_DEVICE,
                                                     HWLOC_TYPE_FILTER_KEEP_IMPORTANT) == 0 &&
                      hwloc_topology_load(topology) == 0;
  if (!loaded) machine.topology_.reset();
  return machine;
}

Topology Topology::of_xml(const std::string& xml) {
  Topology machine;
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) fail("hwloc gives no topology");
  machine.topology_.reset(topology);
  if (xml.size() >= std::numeric_limits<int>::max() ||
      hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PCI_DEVICE,
                                     HWLOC_TYPE_FILTER_KEEP_IMPORTANT) != 0 ||
      hwloc_topology_set_xmlbuffer(topology, xml.c_str(), static_cast<int>(xml.size() + 1)) != 0 ||
      hwloc_topology_load(topology) != 0) {
    fail("the text is not a topology in hwloc's XML");
  }
  return machine;
}

NearDevice near_device(const Topology& topology, const std::string& bus_id,
                       const std::vector<std::uint64_t>& allowed) {
  hwloc_topology_t machine = topology.get();
  if (machine == nullptr) return {};
  hwloc_obj_t device = hwloc_get_pcidev_by_busidstring(machine, bus_id.c_str());
  if (device == nullptr) return {};
  hwloc_obj_t around = hwloc_get_non_io_ancestor_obj(machine, device);
  // All of it is what firmware that does not say where a slot is looks like, too.
  if (hwloc_bitmap_isincluded(hwloc_topology_get_topology_nodeset(machine), around->nodeset) != 0) {
    return {};
  }
  NearDevice near;
  near.cores = cores_of(machine, around->cpuset, allowed);
  if (!near.cores.empty()) {
    near.nodes = memory_of(machine, around->nodeset);
    return near;
  }
  // Memory is then left to where the threads are: most of its traffic is theirs.
  near.cores = cores_of(machine, hwloc_topology_get_topology_cpuset(machine), allowed);
  near.warning = fmt::format(
      "the GPU at {} is on NUMA node {}, and this rank may use none of that node's cores: copies "
      "cross the sockets; mpirun --bind-to none lets it choose",
      bus_id, hwloc_bitmap_first(around->nodeset));
  return near;
}

std::vector<unsigned> share_of_near_cores(const std::vector<unsigned>& cores, std::size_t ranks,
                                          std::size_t index) {
  const std::size_t begin = index * cores.size() / ranks;
  const std::size_t end = std::max(begin + 1, (index + 1) * cores.size() / ranks);
  return {cores.begin() + static_cast<std::ptrdiff_t>(begin),
          cores.begin() + static_cast<std::ptrdiff_t>(end)};
}

std::string bind_near(const Topology& topology, const std::vector<unsigned>& cores,
                      const std::vector<unsigned>& nodes) {
  hwloc_topology_t machine = topology.get();
  if (machine == nullptr) return "";
  const auto reason = [] { return std::generic_category().message(errno); };
  std::string warning;
  if (!cores.empty() &&
      hwloc_set_cpubind(machine, bitmap_of(cores).get(), HWLOC_CPUBIND_THREAD) != 0) {
    warning = fmt::format("threads could not be bound near the GPU: {}", reason());
  }
  // Without HWLOC_MEMBIND_STRICT this is a preference.
  if (!nodes.empty() && hwloc_set_membind(machine, bitmap_of(nodes).get(), HWLOC_MEMBIND_BIND,
                                          HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET) != 0) {
    warning += fmt::format("{}memory could not be kept near the GPU: {}",
                           warning.empty() ? "" : "; ", reason());
  }
  return warning;
}

}  // namespace initrt
