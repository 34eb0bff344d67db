// What this machine has of what initrt can use, and what is lost where it lacks something.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "runtime/machine/memory_check.h"

namespace initrt {

inline constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// What was found. Texts are "" where there is no such thing.
struct MachineFacts {
  std::string instruction_set;                            ///< the best that there are kernels for
  unsigned cores = 1;                                     ///< that this process may use
  unsigned quota = std::numeric_limits<unsigned>::max();  ///< cores' worth of time, see cpu_quota()
  NodeMemory memory;
  std::string mpi;     ///< the library's version
  std::string mpirun;  ///< the path of it
  bool cuda_built = false;
  std::vector<std::string> gpus;  ///< names
  std::string gpu_trouble;        ///< what the driver said where it shows none
  bool nccl_built = false;
  std::string nccl_trouble;                 ///< why its library cannot be opened
  bool gpu_direct = false;                  ///< nvidia-fs is loaded, or cuFile told to do without
  std::uint64_t locked_bytes = kUnlimited;  ///< most memory that may be locked
  std::optional<std::uint64_t> shm_bytes;   ///< size of /dev/shm; none: it is not there
  bool own_tmpfs = false;                   ///< whether ranks can have one with huge pages
  std::string huge_pages, shm_huge_pages;   ///< the kernel's choice: "always", "madvise", "never"
  std::uint64_t mappings = kUnlimited;      ///< most of a process: vm.max_map_count
  std::uint64_t files = kUnlimited;         ///< most open ones of a process
  std::string slurm;                        ///< srun's version
  std::string slurm_mpi;                    ///< what srun --mpi=list says
};

/// Looks. @param root what /proc and /sys are below: "" but in tests
[[nodiscard]] MachineFacts look_at_machine(const std::string& root = "");

/// One line of the diagnosis.
struct Finding {
  std::string about;  ///< "locked memory"
  std::string found;  ///< "8.39 MB"
  std::string cost;   ///< what is lost, and what to do; "" for nothing
};

[[nodiscard]] std::vector<Finding> diagnose(const MachineFacts& facts);

}  // namespace initrt
