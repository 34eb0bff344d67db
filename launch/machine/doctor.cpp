#include "launch/machine/doctor.h"

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "runtime/comm/mpi_session.h"
#include "runtime/comm/nccl/nccl.h"
#include "runtime/comm/shared_file.h"
#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/host_memory.h"
#include "runtime/machine/control_group.h"
#include "runtime/machine/placement.h"
#include "sharding/error.h"
#include "sharding/human_bytes.h"

namespace initrt {
namespace {

constexpr std::uint64_t kNcclShmBytes = 1u << 30;   // what NVIDIA's images are to be started with
constexpr std::uint64_t kPinnedBytes = 512u << 20;  // several ranks' staging, and NCCL's buffers
constexpr std::uint64_t kUsualMappings = 65530;

std::string bytes_text(std::uint64_t bytes) {
  return bytes == kUnlimited ? "unlimited" : human_bytes(bytes);
}

std::uint64_t limit_of(__rlimit_resource_t resource) {
  struct rlimit limit {};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  return limit.rlim_cur;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Where the path has it.
std::string find_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    std::string file = rest.substr(0, colon) + "/" + name;
    if (access(file.c_str(), X_OK) == 0) return file;
    rest.erase(0, colon + 1);
  }
  return "";
}

// What a command says within seconds, errors included.
std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen(("timeout 5 " + command + " 2>&1 < /dev/null").c_str(), "re"), pclose);
  std::string text;
  std::array<char, 4096> piece{};
  while (pipe != nullptr && std::fgets(piece.data(), piece.size(), pipe.get()) != nullptr) {
    text += piece.data();
  }
  return text;
}

void look_for_gpus(MachineFacts& facts) {
  facts.cuda_built = cuda::is_built();
  try {
    for (const cuda::Gpu& gpu : cuda::visible_gpus()) facts.gpus.push_back(gpu.name);
  } catch (const std::exception& error) {
    facts.gpu_trouble = error.what();
  }
  facts.nccl_built = nccl::is_built();
  if (facts.nccl_built && dlopen("libnccl.so.2", RTLD_LAZY) == nullptr) {
    facts.nccl_trouble = "libnccl.so.2 is not found (LD_LIBRARY_PATH)";
  }
}

void add_gpus(const MachineFacts& facts, std::vector<Finding>& findings) {
  if (!facts.cuda_built) {
    findings.push_back({"CUDA", "not built in", "ranks compute on CPUs (cmake -DINITRT_CUDA=ON)"});
    return;
  }
  if (facts.gpus.empty()) {
    findings.push_back({"CUDA", facts.gpu_trouble.empty() ? "no GPU" : facts.gpu_trouble,
                        "ranks compute on CPUs"});
    return;
  }
  findings.push_back({"CUDA",
                      fmt::format("{} GPU{}: {}", facts.gpus.size(),
                                  facts.gpus.size() == 1 ? "" : "s", facts.gpus.front()),
                      ""});
  const std::string trouble = facts.nccl_built ? facts.nccl_trouble : "not built in";
  findings.push_back({"NCCL", trouble.empty() ? "there" : trouble,
                      trouble.empty() ? "" : "what ranks exchange goes through the host's memory"});
  findings.push_back({"GPUDirect", facts.gpu_direct ? "there" : "none",
                      facts.gpu_direct ? "" : "files are read through the host's memory"});
}

void add_memory(const MachineFacts& facts, std::vector<Finding>& findings) {
  const bool gpus = !facts.gpus.empty();
  findings.push_back({"memory",
                      fmt::format("{}, {} available", bytes_text(facts.memory.total),
                                  bytes_text(facts.memory.available)),
                      ""});
  findings.push_back(
      {"locked memory", bytes_text(facts.locked_bytes),
       facts.locked_bytes >= kPinnedBytes
           ? ""
           : "InfiniBand may refuse to register buffers, and fall back to TCP; raise it with "
             "ulimit -l unlimited"});
  findings.push_back(
      {"/dev/shm", facts.shm_bytes ? bytes_text(*facts.shm_bytes) : "none",
       !facts.shm_bytes ? "MPI moves messages on a node through sockets"
       : gpus && *facts.shm_bytes < kNcclShmBytes
           ? "NCCL may not start more than a few ranks: --shm-size=1g for a container"
           : ""});
  const std::string four_times =
      "a shard's first touch takes 3 to 4 times as long: echo {} > "
      "/sys/kernel/mm/transparent_hugepage/{}";
  findings.push_back({"huge pages",
                      facts.huge_pages.empty() ? "unknown to this kernel" : facts.huge_pages,
                      facts.huge_pages == "always" || facts.huge_pages == "madvise"
                          ? ""
                          : fmt::format(fmt::runtime(four_times), "madvise", "enabled")});
  if (facts.shm_huge_pages.empty()) return;
  const bool own = facts.own_tmpfs && facts.shm_huge_pages == "never";
  const bool shared = own || (facts.shm_huge_pages != "never" && facts.shm_huge_pages != "deny");
  findings.push_back(
      {"shared huge pages", own ? "never, but in a tmpfs that ranks make" : facts.shm_huge_pages,
       shared ? ""
              : "where ranks map each other's shards, " +
                    fmt::format(fmt::runtime(four_times), "advise", "shmem_enabled")});
}

void add_limits(const MachineFacts& facts, std::vector<Finding>& findings) {
  findings.push_back({"mappings",
                      facts.mappings == kUnlimited ? "unknown" : std::to_string(facts.mappings),
                      facts.mappings >= kUsualMappings
                          ? ""
                          : "ranks of one node may not map all units of each other: raise "
                            "vm.max_map_count, or sharding.communicator=mpi"});
  findings.push_back({"open files",
                      facts.files == kUnlimited ? "unlimited" : std::to_string(facts.files),
                      facts.files >= 4096 ? ""
                                          : "a checkpoint of many files may not be opened: ulimit "
                                            "-n 65536"});
}

void add_launchers(const MachineFacts& facts, std::vector<Finding>& findings) {
  findings.push_back({"MPI", facts.mpi, ""});
  findings.push_back({"mpirun", facts.mpirun.empty() ? "not on the path" : facts.mpirun,
                      facts.mpirun.empty() ? "only srun can start several ranks" : ""});
  if (facts.slurm.empty()) {
    findings.push_back({"Slurm", "no srun on the path", ""});
    return;
  }
  if (facts.slurm.find("error") != std::string::npos) {
    findings.push_back({"Slurm", "installed, but no cluster's: " + facts.slurm,
                        "ranks are started by mpirun alone"});
    return;
  }
  findings.push_back({"Slurm", facts.slurm, ""});
  const bool pmix = facts.slurm_mpi.find("pmix") != std::string::npos;
  findings.push_back({"PMIx", pmix ? "srun --mpi=pmix" : "srun does not list it",
                      pmix ? ""
                           : "srun cannot connect ranks: start mpirun in the allocation instead; "
                             "srun --mpi=list says: " +
                                 first_line(facts.slurm_mpi)});
}

}  // namespace

MachineFacts look_at_machine(const std::string& root) {
  MachineFacts facts;
  facts.instruction_set = name(best_instruction_set());
  facts.cores = 0;
  for (const std::uint64_t word : allowed_cores()) {
    facts.cores += static_cast<unsigned>(std::popcount(word));
  }
  facts.quota = cpu_quota(root);
  facts.memory = node_memory();
  facts.mpi = first_line(mpi_library());
  facts.mpi = facts.mpi.substr(0, facts.mpi.find(','));
  facts.mpirun = find_program("mpirun");
  look_for_gpus(facts);
  facts.gpu_direct = access((root + "/proc/driver/nvidia-fs").c_str(), F_OK) == 0 ||
                     std::getenv("CUFILE_USE_PCIP2PDMA") != nullptr;
  facts.locked_bytes = limit_of(RLIMIT_MEMLOCK);
  struct statvfs shm {};
  if (statvfs((root + "/dev/shm").c_str(), &shm) == 0) {
    facts.shm_bytes = std::uint64_t{shm.f_frsize} * shm.f_blocks;
  }
  facts.huge_pages = huge_page_choice("enabled", root);
  facts.shm_huge_pages = huge_page_choice("shmem_enabled", root);
  facts.own_tmpfs = make_tmpfs_file().get() >= 0 || make_tmpfs_file_in_namespace().get() >= 0;
  unsigned long long mappings = 0;
  const std::string most = control_file(root + "/proc/sys/vm/max_map_count");
  if (std::sscanf(most.c_str(), "%llu", &mappings) == 1) facts.mappings = mappings;
  facts.files = limit_of(RLIMIT_NOFILE);
  if (!find_program("srun").empty()) {
    facts.slurm = first_line(output_of("srun --version"));
    facts.slurm_mpi = output_of("srun --mpi=list");
  }
  return facts;
}

std::vector<Finding> diagnose(const MachineFacts& facts) {
  std::vector<Finding> findings;
  findings.push_back(
      {"cores", fmt::format("{}, kernels for {}", facts.cores, facts.instruction_set),
       facts.quota < facts.cores
           ? fmt::format("the control group allows {} cores' worth of time", facts.quota)
           : ""});
  add_memory(facts, findings);
  add_limits(facts, findings);
  add_gpus(facts, findings);
  add_launchers(facts, findings);
  return findings;
}

}  // namespace initrt
