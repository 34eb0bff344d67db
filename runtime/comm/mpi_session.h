// MPI from its start to its end, and how to tell whether to start it.
#pragma once

#include <cstdint>
#include <string>

namespace initrt {

/// How this process was started, from its environment alone.
enum class Launcher : std::uint8_t {
  None,            ///< alone: world size 1, MPI is not started
  Mpi,             ///< mpirun, or srun with PMI or PMIx
  SlurmWithoutPmi  ///< one of several Slurm tasks that MPI could not connect
};
[[nodiscard]] Launcher detect_launcher();

/// MPI_Init to MPI_Finalize. One per process.
class MpiSession {
 public:
  /// @throws Error where MPI does not start, or sees one rank where Slurm has started several
  MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  ~MpiSession();

  [[nodiscard]] std::uint32_t rank() const { return rank_; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t local_rank() const { return local_rank_; }  ///< among this node's
  [[nodiscard]] std::uint32_t local_size() const { return local_size_; }

 private:
  std::uint32_t rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
};

/// Name and version of the library, as it tells them; also before a session.
[[nodiscard]] std::string mpi_library();

/// @throws Error with MPI's own text where `code` is one of its errors
void check_mpi(int code, const char* what);

}  // namespace initrt
