#include "runtime/machine/gpu_placement.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "sharding/error.h"

namespace initrt {
namespace {

// Of one size whatever a rank sees, so that one all-gather takes them all. Texts end with a zero or
// with their space.
struct AnnouncedGpu {
  std::array<std::uint8_t, 16> uuid;
  std::array<char, 64> name;
  std::array<char, 16> bus_id;
};
struct Announcement {
  std::uint64_t node;
  std::uint64_t gpu_count;
  std::array<char, 64> host;
  std::array<char, 128> trouble;
  std::array<AnnouncedGpu, kMaxGpus> gpus;
};

void copy_text(std::string_view text, std::span<char> space) {
  std::copy_n(text.begin(), std::min(text.size(), space.size()), space.begin());
}

std::string taken(std::span<const char> space) {
  return {space.begin(), std::find(space.begin(), space.end(), '\0')};
}

bool same_list(const GpuSite& a, const GpuSite& b) {
  return std::equal(a.gpus.begin(), a.gpus.end(), b.gpus.begin(), b.gpus.end(),
                    [](const cuda::Gpu& x, const cuda::Gpu& y) { return x.uuid == y.uuid; });
}

// As much of each UUID as CUDA_VISIBLE_DEVICES needs of a whole GPU's.
std::string list_text(const GpuSite& site) {
  std::string text;
  for (const cuda::Gpu& gpu : site.gpus) {
    text += (text.empty() ? "" : ", ") + uuid_text(gpu).substr(0, 12);
  }
  return fmt::format("{} ({})", site.gpus.size(), text);
}

void check_each_sees_one(const std::vector<GpuSite>& sites) {
  const auto sees_none = [](const GpuSite& site) { return site.gpus.empty(); };
  const auto first = std::find_if(sites.begin(), sites.end(), sees_none);
  if (first == sites.end()) return;
  const auto count = std::count_if(first, sites.end(), sees_none);
  fail(
      "rank {}{} on node {} sees no GPU{}: look there at what nvidia-smi lists (the driver), at "
      "CUDA_VISIBLE_DEVICES, and at what --gpus gave the job (Slurm) or the container (docker)",
      first - sites.begin(), count == 1 ? "" : fmt::format(" (the first of {} such)", count),
      first->host, first->trouble.empty() ? "" : " (" + first->trouble + ")");
}

}  // namespace

std::string uuid_text(const cuda::Gpu& gpu) {
  std::string text = gpu.name.find(" MIG ") == std::string::npos ? "GPU" : "MIG";
  for (std::size_t i = 0; i < gpu.uuid.size(); ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", gpu.uuid[i]);
  }
  return text;
}

std::vector<std::size_t> choose_gpus(const std::vector<GpuSite>& sites, bool share) {
  check_each_sees_one(sites);
  std::vector<std::size_t> choices(sites.size());
  // Ranks that take what an earlier rank of their node has; the first of them, and that rank.
  std::size_t left_over = 0, first = 0, owner = 0;
  for (std::size_t rank = 0; rank < sites.size(); ++rank) {
    const GpuSite& site = sites[rank];
    std::size_t before = 0;
    for (std::size_t other = 0; other < rank; ++other) {
      before += sites[other].node == site.node && same_list(sites[other], site) ? 1 : 0;
    }
    choices[rank] = before % site.gpus.size();
    for (std::size_t other = 0; other < rank; ++other) {
      if (sites[other].node != site.node ||
          sites[other].gpus[choices[other]].uuid != site.gpus[choices[rank]].uuid) {
        continue;
      }
      if (left_over == 0) {
        first = rank;
        owner = other;
      }
      ++left_over;
      break;
    }
  }
  if (left_over == 0 || share) return choices;

  const GpuSite &a = sites[owner], &b = sites[first];
  const cuda::Gpu& gpu = b.gpus[choices[first]];
  fail(
      "ranks {} and {} would both compute on one GPU of node {}, {} ({} at {}){}: rank {} sees {}, "
      "rank {} sees {}; start fewer ranks on a node (mpirun -np, --ntasks-per-node), let each see "
      "its own (CUDA_VISIBLE_DEVICES, Slurm's --gpus-per-task=1) or all see all (Slurm's "
      "--gpu-bind=none), or allow it (placement.share_gpu: true)",
      owner, first, b.host, gpu.name, uuid_text(gpu), gpu.bus_id,
      left_over == 1 ? "" : fmt::format(", and {} ranks have none of their own", left_over), owner,
      list_text(a), first, same_list(a, b) ? "the same" : list_text(b));
}

std::vector<GpuSite> gather_gpu_sites(Communicator& comm, const GpuSite& mine) {
  Announcement out{};
  out.node = mine.node;
  out.gpu_count = std::min(mine.gpus.size(), kMaxGpus);
  copy_text(mine.host, out.host);
  copy_text(mine.trouble, out.trouble);
  for (std::size_t i = 0; i < out.gpu_count; ++i) {
    out.gpus[i].uuid = mine.gpus[i].uuid;
    copy_text(mine.gpus[i].name, out.gpus[i].name);
    copy_text(mine.gpus[i].bus_id, out.gpus[i].bus_id);
  }
  std::vector<Announcement> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&out, 1)), std::as_writable_bytes(std::span(all)));

  std::vector<GpuSite> sites;
  for (const Announcement& in : all) {
    GpuSite& site = sites.emplace_back();
    site.node = in.node;
    site.host = taken(in.host);
    site.trouble = taken(in.trouble);
    for (std::size_t i = 0; i < in.gpu_count; ++i) {
      site.gpus.push_back({in.gpus[i].uuid, taken(in.gpus[i].name), taken(in.gpus[i].bus_id)});
    }
  }
  return sites;
}

}  // namespace initrt
