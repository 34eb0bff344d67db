// numa: which cores and memory are near a device, from hwloc, and binding a rank to them. A rank
// far from its GPU copies to it across the sockets; that is slow, not wrong, so nothing here fails:
// what could not be told or done is a text for a person.
#pragma once

#include <hwloc.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace initrt {

/// hwloc's view of a machine. Movable; read by any number of threads.
class Topology {
 public:
  /// Of this machine, with its PCI devices; knows no device where hwloc fails.
  [[nodiscard]] static Topology of_this_machine();
  /// Of the machine that an XML text of hwloc (version 2) describes. @throws Error if it is none
  [[nodiscard]] static Topology of_xml(const std::string& xml);

  /// Null where hwloc failed.
  [[nodiscard]] hwloc_topology_t get() const { return topology_.get(); }

 private:
  struct Destroy {
    void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
  };
  std::unique_ptr<hwloc_topology, Destroy> topology_;
};

/// What is near a device. No cores: nothing is known, or all of the machine is equally near.
struct NearDevice {
  std::vector<unsigned> cores;  ///< as the kernel numbers them; threads of one core side by side
  std::vector<unsigned> nodes;  ///< NUMA nodes whose memory is near, as the kernel numbers them
  std::string warning;          ///< where `cores` are not near: all that the process may use
};

/// @param bus_id PCI domain:bus:device.function, as CUDA and nvidia-smi print it
/// @param allowed bit mask of the cores that the process may use
[[nodiscard]] NearDevice near_device(const Topology& topology, const std::string& bus_id,
                                     const std::vector<std::uint64_t>& allowed);

/// The part of `cores` that is the `index`-th's of `ranks` that share them: neighbours, as equal as
/// can be, at least one core. @param cores not empty
[[nodiscard]] std::vector<unsigned> share_of_near_cores(const std::vector<unsigned>& cores,
                                                        std::size_t ranks, std::size_t index);

/// Binds the calling thread, and so all threads that it starts from then on, to `cores`, and has
/// what they allocate come from `nodes` while those have room. Of an empty list nothing is done.
/// @param topology of this machine @return a warning, "" where all went well
[[nodiscard]] std::string bind_near(const Topology& topology, const std::vector<unsigned>& cores,
                                    const std::vector<unsigned>& nodes);

}  // namespace initrt
