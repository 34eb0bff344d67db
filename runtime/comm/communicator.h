// How the ranks of a world talk. One folder entry per transport: self (world size 1), threads
// (ranks inside one process, for tests), mpi; mapped puts shared memory under a node's ranks.
//
// Every rank calls the same collectives in the same order. Every wait ends: with the result, or
// with an Error once any rank has failed or no rank has made progress for the deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/comm/parts.h"
#include "runtime/device/host_clock.h"

namespace initrt {

/// What a rank is doing, for deadline messages and for tests that hold a rank at a place.
enum class Stage : std::uint32_t { Start, Load, Generate, Output, Finish };

/// "loading unit 3". @param unit counts where the stage is of one
[[nodiscard]] std::string describe(Stage stage, std::uint32_t unit);

/// A transfer under way; wait() on the communicator that gave it.
class Transfer;
using TransferHandle = std::shared_ptr<Transfer>;

class Communicator {
 public:
  virtual ~Communicator() = default;

  [[nodiscard]] virtual std::uint32_t rank() const = 0;
  [[nodiscard]] virtual std::uint32_t size() const = 0;

  /// all = every rank's `mine`, in rank order. all.size() == mine.size() * size().
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;

  /// Sends every rank its part of `out` and receives one from each into `in`, all at once: part r
  /// is for or from rank r, and as large as that rank's part for this one. Parts may be empty, and
  /// several of `out` the same.
  virtual void send_receive(PartsToSend out, PartsToReceive in) = 0;

  /// send_receive() of parts that lie one after the other in rank order.
  void all_to_all(std::span<const std::byte> out, std::span<const std::uint64_t> out_bytes,
                  std::span<std::byte> in, std::span<const std::uint64_t> in_bytes) {
    send_receive(parts_of(out, out_bytes), parts_of(in, in_bytes));
  }

  /// data on every rank becomes data of `root`.
  virtual void broadcast(std::vector<std::byte>& data, std::uint32_t root) = 0;

  /// An all-gather in the background, posted in call order once ready() is true. `ready` is called
  /// from another thread and may throw, which fails the transfer. `chunk` may be its own place in
  /// `whole`. Both stay valid until wait() returns.
  virtual TransferHandle start_all_gather(std::function<bool()> ready,
                                          std::span<const std::byte> chunk,
                                          std::span<std::byte> whole) = 0;
  /// Blocks until the transfer is done. @returns when it was under way: from when it was posted
  /// until it was seen to be done
  /// @throws whatever made it fail, or what the first rank to fail failed with
  virtual Interval wait(const TransferHandle& transfer) = 0;

  /// @throws Error if some rank has failed.
  virtual void check() = 0;

  /// Tells the deadline's watch that this rank is alive and where it is.
  virtual void note_progress(Stage stage, std::uint32_t unit) = 0;

  /// Ends the job with this rank's failure. With MPI it does not return: rank 0 prints the first
  /// cause and aborts the job. Elsewhere the other ranks' waits throw.
  virtual void fail_world(const std::string& message) = 0;
};

}  // namespace initrt
