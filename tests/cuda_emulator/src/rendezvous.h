// The shared memory in which the ranks of a communicator meet, and through which their data goes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace cuda_emulator {

/// Bytes from one rank to another, in order.
struct Channel {
  static constexpr std::size_t kBytes = 64 << 10;
  std::atomic<std::uint64_t> written;
  std::atomic<std::uint64_t> read;
  std::byte ring[kBytes];

  /// As many bytes as there is room for, or that are there; returns how many.
  std::size_t write(const std::byte* from, std::size_t bytes);
  std::size_t take(std::byte* to, std::size_t bytes);
};

class Rendezvous {
 public:
  enum class Joined { Yes, OtherSize, RankTaken, NoMemory };

  Rendezvous() = default;
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  /// Does not wait for the others.
  Joined join(const std::string& name, int ranks, int rank);

  [[nodiscard]] bool complete() const;

  /// No more ranks come.
  void close();

  [[nodiscard]] Channel& channel(int from, int to);

 private:
  struct Header;
  [[nodiscard]] Header& header() const;

  std::string name_;
  int ranks_ = 0;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace cuda_emulator
