// What every communicator must do, as functions that each rank of a world calls: communicator_test
// runs them within a process, mpi_world_check over MPI. They throw Error where a result is wrong.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "runtime/comm/communicator.h"
#include "sharding/error.h"

namespace initrt::collective_checks {

using Bytes = std::vector<std::byte>;

/// Bytes that tell who made them for what.
inline Bytes pattern(std::size_t bytes, std::uint32_t rank, std::uint64_t what) {
  Bytes data(bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    data[i] = static_cast<std::byte>((i + 1) * 2654435761u + rank * 977 + what * 131071 + (i >> 8));
  }
  return data;
}

inline void expect_pattern(std::span<const std::byte> data, std::uint32_t rank, std::uint64_t what,
                           const char* where) {
  const Bytes expected = pattern(data.size(), rank, what);
  if (!data.empty() && std::memcmp(data.data(), expected.data(), data.size()) != 0) {
    fail("{}: {} bytes of rank {} ({}) are not what it gave", where, data.size(), rank, what);
  }
}

inline void expect_gathered(const Bytes& all, std::uint32_t size, std::uint64_t what,
                            const char* where) {
  const std::size_t chunk = all.size() / size;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    expect_pattern(std::span(all).subspan(rank * chunk, chunk), rank, what, where);
  }
}

inline void all_gathers(Communicator& comm) {
  for (const std::size_t bytes : {0, 1, 24, 1024, 1025, 4096, 300001}) {
    const Bytes mine = pattern(bytes, comm.rank(), bytes);
    Bytes all(bytes * comm.size());
    comm.all_gather(mine, all);
    expect_gathered(all, comm.size(), bytes, "all_gather");
  }
}

/// The chunk is its own place in the whole, as it is for resident units.
inline void in_place_all_gathers(Communicator& comm) {
  for (const std::size_t bytes : {1, 4096, 200000}) {
    const Bytes mine = pattern(bytes, comm.rank(), bytes);
    Bytes all(bytes * comm.size());
    const std::span<std::byte> place = std::span(all).subspan(comm.rank() * bytes, bytes);
    std::memcpy(place.data(), mine.data(), bytes);
    comm.wait(comm.start_all_gather({}, place, all));
    expect_gathered(all, comm.size(), bytes, "all_gather in place");
  }
}

/// Sizes differ by pair, and some are 0; a rank's own part comes back to it.
inline void unequal_parts(Communicator& comm) {
  const std::uint32_t size = comm.size(), rank = comm.rank();
  const auto bytes_of = [](std::uint32_t from, std::uint32_t to) {
    return (from + to) % 3 == 0 ? 0 : std::uint64_t{from} * 70001 + to * 13 + 1;
  };
  Bytes out, in;
  std::vector<std::uint64_t> out_bytes, in_bytes;
  for (std::uint32_t peer = 0; peer < size; ++peer) {
    out_bytes.push_back(bytes_of(rank, peer));
    in_bytes.push_back(bytes_of(peer, rank));
    const Bytes part = pattern(out_bytes.back(), rank, peer);
    out.insert(out.end(), part.begin(), part.end());
    in.resize(in.size() + in_bytes.back());
  }
  comm.all_to_all(out, out_bytes, in, in_bytes);
  std::size_t at = 0;
  for (std::uint32_t peer = 0; peer < size; ++peer) {
    expect_pattern(std::span(in).subspan(at, in_bytes[peer]), peer, rank, "all_to_all");
    at += in_bytes[peer];
  }
}

inline void broadcasts(Communicator& comm) {
  for (std::uint32_t root = 0; root < comm.size(); ++root) {
    for (const std::size_t bytes : {0, 1, 70000}) {
      Bytes data = pattern(comm.rank() == root ? bytes : 5, comm.rank(), bytes);
      comm.broadcast(data, root);
      if (data.size() != bytes) fail("broadcast: {} bytes instead of {}", data.size(), bytes);
      expect_pattern(data, root, bytes, "broadcast");
    }
  }
}

/// Chunks that arrive after their gathers were started, on each rank at another time.
inline void delayed_all_gathers(Communicator& comm) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kBytes = 5000;
  for (std::uint32_t round = 0; round < 3; ++round) {
    const auto delay = std::chrono::milliseconds(3 * ((comm.rank() + round) % 3));
    const Clock::time_point arrival = Clock::now() + delay;
    Bytes mine(kBytes), all(kBytes * comm.size());
    const TransferHandle transfer = comm.start_all_gather(
        [&] {
          if (Clock::now() < arrival) return false;
          const Bytes chunk = pattern(kBytes, comm.rank(), round);
          std::memcpy(mine.data(), chunk.data(), kBytes);
          return true;
        },
        mine, all);
    comm.wait(transfer);
    expect_gathered(all, comm.size(), round, "a delayed all_gather");
  }
}

/// A transfer that is not ready holds back those behind it, which are not even asked.
inline void posting_order(Communicator& comm) {
  constexpr int kTransfers = 5;
  std::vector<Bytes> mine, all;
  for (int i = 0; i < kTransfers; ++i) {
    mine.push_back(pattern(100, comm.rank(), i));
    all.emplace_back(100 * comm.size());
  }
  int next = 0;  // all of these are of the thread that calls ready()
  int asked = 0;
  bool in_order = true;
  std::vector<TransferHandle> transfers;
  for (int i = 0; i < kTransfers; ++i) {
    const auto ready = [&, i] {
      in_order = in_order && i == next;
      if (++asked % 4 != 0) return false;
      ++next;
      return true;
    };
    transfers.push_back(comm.start_all_gather(ready, mine[i], all[i]));
  }
  for (const TransferHandle& transfer : transfers) comm.wait(transfer);
  if (!in_order || next != kTransfers) fail("transfers were not posted in call order");
  for (int i = 0; i < kTransfers; ++i) expect_gathered(all[i], comm.size(), i, "ordered");
}

/// Waited for last to first, with small collectives in between.
inline void many_outstanding(Communicator& comm) {
  constexpr std::size_t kTransfers = 40;
  std::vector<Bytes> mine, all;
  std::vector<TransferHandle> transfers;
  for (std::size_t i = 0; i < kTransfers; ++i) {
    const std::size_t bytes = i % 5 == 0 ? 0 : i * 997;
    mine.push_back(pattern(bytes, comm.rank(), i));
    all.emplace_back(bytes * comm.size());
  }
  for (std::size_t i = 0; i < kTransfers; ++i) {
    transfers.push_back(comm.start_all_gather({}, mine[i], all[i]));
    if (i % 10 == 9) all_gathers(comm);
  }
  for (std::size_t i = kTransfers; i-- > 0;) {
    comm.wait(transfers[i]);
    expect_gathered(all[i], comm.size(), i, "one of many");
  }
}

/// Small all-gathers whose every round must be seen whole, with ranks held up at random.
inline void small_all_gathers_in_step(Communicator& comm, std::uint32_t rounds,
                                      std::uint32_t rounds_per_delay) {
  struct Header {
    std::uint32_t rank, round;
    std::uint64_t tag;
  };
  std::mt19937 random(comm.rank() + 1);
  std::vector<Header> all(comm.size());
  for (std::uint32_t round = 0; round < rounds; ++round) {
    if (random() % rounds_per_delay == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    }
    const Header mine{comm.rank(), round, (std::uint64_t{round} << 32) ^ (comm.rank() * 7919)};
    comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    for (std::uint32_t rank = 0; rank < comm.size(); ++rank) {
      const Header& other = all[rank];
      if (other.rank != rank || other.round != round ||
          other.tag != ((std::uint64_t{round} << 32) ^ (rank * 7919))) {
        fail("in round {} rank {} gave round {}", round, rank, other.round);
      }
    }
  }
}

inline void every_rank_has_a_number(Communicator& comm) {
  const std::uint32_t mine = comm.rank();
  std::vector<std::uint32_t> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  for (std::uint32_t rank = 0; rank < comm.size(); ++rank) {
    if (all[rank] != rank) fail("rank {} says that it is rank {}", rank, all[rank]);
  }
}

inline void every_collective(Communicator& comm) {
  every_rank_has_a_number(comm);
  all_gathers(comm);
  in_place_all_gathers(comm);
  unequal_parts(comm);
  broadcasts(comm);
  delayed_all_gathers(comm);
  posting_order(comm);
  many_outstanding(comm);
  small_all_gathers_in_step(comm, 50, 10);
}

}  // namespace initrt::collective_checks
