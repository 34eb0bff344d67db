#include "runtime/comm/mpi_session.h"

#include <mpi.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "sharding/error.h"

namespace initrt {
namespace {

// How many tasks the Slurm step has that this process is one of. A batch script is in no such step.
int slurm_tasks() {
  const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  return std::getenv("SLURM_PROCID") != nullptr && tasks != nullptr ? std::atoi(tasks) : 0;
}

}  // namespace

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail("MPI: {} failed: {}", what, std::string_view(text.data(), static_cast<std::size_t>(length)));
}

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  return {text.data(), static_cast<std::size_t>(length)};
}

Launcher detect_launcher() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_ID", "PMIX_RANK"}) {
    if (std::getenv(name) != nullptr) return Launcher::Mpi;
  }
  return slurm_tasks() > 1 ? Launcher::SlurmWithoutPmi : Launcher::None;
}

MpiSession::MpiSession() {
  int provided = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_SERIALIZED) {
    fail("MPI: this library gives thread level {}, initrt needs MPI_THREAD_SERIALIZED", provided);
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int value = 0;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &value), "MPI_Comm_rank");
  rank_ = static_cast<std::uint32_t>(value);
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &value), "MPI_Comm_size");
  size_ = static_cast<std::uint32_t>(value);
  // Under another PMI than the library's, every task is a world of its own. mpirun starts its
  // daemons as Slurm tasks, whose environment its ranks see too.
  if (size_ == 1 && slurm_tasks() > 1 && std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) {
    fail(
        "MPI: this is one of {} Slurm tasks, but MPI sees it alone: start with srun --mpi=pmix "
        "(srun --mpi=list shows what there is), or with mpirun",
        slurm_tasks());
  }
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  MPI_Comm_rank(node, &value);
  local_rank_ = static_cast<std::uint32_t>(value);
  MPI_Comm_size(node, &value);
  local_size_ = static_cast<std::uint32_t>(value);
  MPI_Comm_free(&node);
}

MpiSession::~MpiSession() { MPI_Finalize(); }

}  // namespace initrt
