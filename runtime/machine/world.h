// world: who and where this rank is. MPI where a launcher made a world, else a world of one.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/mpi.h"
#include "runtime/comm/self.h"
#include "runtime/machine/limits.h"
#include "sharding/notices.h"

namespace initrt {

struct WorldOptions {
  /// Called before the last line on standard error, which says why the world ends: nothing may
  /// follow it. From any thread, perhaps more than once; may be null.
  void (*before_last_line)() = nullptr;
  /// Told of a failure in a world of one, before anything is unwound; may be empty.
  std::function<void(const std::string& message)> on_failure;
};

class World {
 public:
  /// Starts MPI where this process is one of a launcher's; collective then. For the beginning of a
  /// program, before other threads: see cuda::set_environment().
  /// @throws Error for Slurm tasks that cannot find each other
  explicit World(WorldOptions options = {});

  [[nodiscard]] Communicator& comm() { return over_ ? *over_ : *comm_; }
  [[nodiscard]] std::uint32_t rank() const { return comm_->rank(); }
  [[nodiscard]] std::uint32_t size() const { return comm_->size(); }
  /// Whether all ranks are on one node.
  [[nodiscard]] bool one_node() const { return !session_ || session_->local_size() == size(); }
  /// How lines of the log name this rank: "rank 3 on NODE: ", or "" in a world of one.
  [[nodiscard]] std::string speaker() const { return mpi_ != nullptr ? mpi_->speaker() : ""; }
  /// Whether this is the first rank of its node.
  [[nodiscard]] bool first_of_node() const { return !session_ || session_->local_rank() == 0; }

  /// comm() is what `make_over` makes of it, from here on.
  template <class Make>
  void wrap_comm(const Make& make_over) {
    over_ = make_over(*comm_);
  }

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

  /// Ends the world, whose last line on standard error says what went wrong: of several ranks the
  /// first cause. Alone there is no world to end: on_failure is told, the first time, and this
  /// returns.
  void fail(const std::string& message);

  /// Ends the world at once because it was asked to, with a line that says so: for what has nothing
  /// to finish. From any thread.
  [[noreturn]] void stop(const std::string& message, int status);

  /// Calls `body`; its failure is told to the world before anything is unwound, since what is
  /// unwound may wait for other ranks. @returns what it does
  template <class Body>
  auto guard(const Body& body) {
    try {
      return body();
    } catch (const std::exception& error) {
      fail(failure_text(error));
      throw;
    }
  }

 private:
  void make_self();
  [[noreturn]] void end_alone(LogLevel level, const std::string& message, int status) const;

  // In the order of dependency: what is below uses what is above.
  const WorldOptions options_;
  std::unique_ptr<MpiSession> session_;
  std::unique_ptr<Communicator> comm_;
  std::unique_ptr<Communicator> over_;  // comm_, or null
  MpiCommunicator* mpi_ = nullptr;      // comm_, where it is one
  SelfCommunicator* self_ = nullptr;    // or the other
  bool failed_ = false;
  mutable std::mutex bytes_mutex_;
  BytesDone own_bytes_;  // of a world of one
};

}  // namespace initrt
