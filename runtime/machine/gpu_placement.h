// gpu_placement: which GPU each rank takes, agreed by all. The rule knows neither CUDA nor MPI:
// what each rank sees goes in, what each takes comes out, or one error that all ranks have alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/device/cuda/gpus.h"

namespace initrt {

/// GPUs of a rank that gather_gpu_sites() tells the others of; none beyond these is taken.
inline constexpr std::size_t kMaxGpus = 64;

/// Where one rank is, and what it sees there.
struct GpuSite {
  std::uint64_t node = 0;  ///< the same on ranks of one node
  std::string host;        ///< the node's name, for messages
  std::vector<cuda::Gpu> gpus;
  std::string trouble;  ///< what the driver said where it shows none
};

/// "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", as nvidia-smi -L and CUDA_VISIBLE_DEVICES have it.
[[nodiscard]] std::string uuid_text(const cuda::Gpu& gpu);

/// For each rank the index, in its own list, of the GPU that it takes: of the ranks of a node that
/// see the same list, the i-th takes the i-th. @param sites in rank order
/// @param share whether ranks may compute on one GPU (placement.share_gpu)
/// @throws Error naming a rank that sees none, or two ranks that would take one GPU
[[nodiscard]] std::vector<std::size_t> choose_gpus(const std::vector<GpuSite>& sites, bool share);

/// Every rank's site, in rank order: the same on all, whatever had to be cut. Collective.
[[nodiscard]] std::vector<GpuSite> gather_gpu_sites(Communicator& comm, const GpuSite& mine);

}  // namespace initrt
