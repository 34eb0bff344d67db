// world: who and where this rank is. MPI where a launcher made a world, else a world of one.
#pragma once

#include <memory>
#include <string>

#include "runtime/comm/communicator.h"
#include "runtime/comm/mpi.h"

namespace initrt {

class World {
 public:
  /// Starts MPI where this process is one of a launcher's; collective then.
  /// @throws Error for Slurm tasks that cannot find each other
  World();

  [[nodiscard]] Communicator& comm() { return *comm_; }
  [[nodiscard]] std::uint32_t rank() const { return comm_->rank(); }
  [[nodiscard]] std::uint32_t size() const { return comm_->size(); }
  /// Whether all ranks are on one node.
  [[nodiscard]] bool one_node() const { return !session_ || session_->local_size() == size(); }

  void set_timeout(std::chrono::seconds timeout);

  /// Says what went wrong, once for the whole world, and ends it: with more than one rank this does
  /// not return.
  void fail(const std::string& message);

 private:
  std::unique_ptr<MpiSession> session_;  // before comm_: outlives it
  std::unique_ptr<Communicator> comm_;
  MpiCommunicator* mpi_ = nullptr;       // comm_, where it is one
};

}  // namespace initrt
