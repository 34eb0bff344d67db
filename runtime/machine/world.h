// world: who and where this rank is. MPI where a launcher made a world, else a world of one.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/mpi.h"
#include "runtime/comm/self.h"
#include "runtime/machine/limits.h"

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

  /// Whether waits for other ranks may poll without sleeping: QueuedCommunicator::set_spin().
  void set_spin(bool spin);

  /// How far this rank is with loading, for rank 0 to show. From one thread.
  void note_bytes(BytesDone bytes);
  /// How far all are, on rank 0; as far as it has heard. From any thread.
  [[nodiscard]] std::vector<BytesDone> bytes_of_ranks() const;

  /// No watch for progress: the ranks have nothing to do with each other from here on.
  void end_watch();

  /// For write_stdout(): whoever reads standard output keeps this rank waiting, which is no stall.
  /// @throws Error if some rank has failed meanwhile
  void note_reader_waits();

  /// Says what went wrong, once for the whole world, and ends it: with a launcher this does not
  /// return.
  void fail(const std::string& message);

  /// Ends the world at once because it was asked to, with a line that says so: for what has nothing
  /// to finish. From any thread.
  [[noreturn]] void stop(const std::string& message, int status);

  /// Calls `body`; its failure is told to the world before anything is unwound, since what is
  /// unwound may wait for other ranks.
  template <class Body>
  void guard(const Body& body) {
    try {
      body();
    } catch (const std::exception& error) {
      fail(failure_text(error));
      throw;
    }
  }

 private:
  std::unique_ptr<MpiSession> session_;  // before comm_: outlives it
  std::unique_ptr<Communicator> comm_;
  void make_self();
  [[noreturn]] static void end_alone(const std::string& message, int status);

  MpiCommunicator* mpi_ = nullptr;    // comm_, where it is one
  SelfCommunicator* self_ = nullptr;  // or the other
  bool failed_ = false;               // and said so
  mutable std::mutex bytes_mutex_;
  BytesDone own_bytes_;  // of the other
};

}  // namespace initrt
