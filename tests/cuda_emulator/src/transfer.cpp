// Transfers, in pieces through shared memory. Each opens with what it is, so that its receiver can
// tell whether it is what it waits for.
#include "transfer.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>
#include <utility>

namespace cuda_emulator {
namespace {

struct Opening {
  std::uint64_t bytes;
  TransferKind kind;
  std::uint32_t padding = 0;
};

const char* verb(TransferKind kind) {
  return kind == TransferKind::AllGather ? "all-gathers" : "sends";
}

/// The transfers with one peer in one direction, in order.
class Lane {
 public:
  Lane(Channel& channel, int rank, int peer) : channel_(&channel), rank_(rank), peer_(peer) {}

  void add(const Transfer& transfer) { transfers_.push_back(transfer); }
  [[nodiscard]] bool done() const { return current_ == transfers_.size(); }

  /// Returns whether anything moved.
  bool step() {
    if (done()) return false;
    const Transfer& transfer = transfers_[current_];
    bool moved = false;
    if (opened_ < sizeof opening_) {
      if (transfer.sends) opening_ = {transfer.bytes, transfer.kind};
      const std::size_t now = move(transfer, reinterpret_cast<std::byte*>(&opening_) + opened_,
                                   sizeof opening_ - opened_);
      opened_ += now;
      moved = now > 0;
      if (opened_ < sizeof opening_) return moved;
      if (!transfer.sends) check(transfer);
    }
    const std::size_t now = move(transfer, transfer.memory + moved_, transfer.bytes - moved_);
    moved_ += now;
    if (moved_ < transfer.bytes) return moved || now > 0;
    ++current_;
    opened_ = moved_ = 0;
    return true;
  }

 private:
  std::size_t move(const Transfer& transfer, std::byte* at, std::size_t bytes) {
    return transfer.sends ? channel_->write(at, bytes) : channel_->take(at, bytes);
  }

  void check(const Transfer& transfer) const {
    if (opening_.kind == transfer.kind && opening_.bytes == transfer.bytes) return;
    fmt::print(stderr, "nccl emulator: rank {} {} {} bytes where rank {} {} {}\n", peer_,
               verb(opening_.kind), opening_.bytes, rank_,
               transfer.kind == TransferKind::AllGather ? "all-gathers" : "receives",
               transfer.bytes);
    std::fflush(stderr);
    std::abort();
  }

  Channel* channel_;
  int rank_, peer_;
  std::vector<Transfer> transfers_;
  std::size_t current_ = 0, opened_ = 0, moved_ = 0;
  Opening opening_{};
};

}  // namespace

void run(Rendezvous& ranks, int rank, const std::vector<Transfer>& transfers,
         const std::function<bool()>& stopped) {
  std::map<std::pair<int, bool>, Lane> lanes;
  for (const Transfer& one : transfers) {
    Channel& channel = one.sends ? ranks.channel(rank, one.peer) : ranks.channel(one.peer, rank);
    lanes.try_emplace({one.peer, one.sends}, channel, rank, one.peer).first->second.add(one);
  }
  int idle = 0;
  while (!stopped()) {
    bool moved = false, done = true;
    for (auto& [key, lane] : lanes) {
      moved = lane.step() || moved;
      done = done && lane.done();
    }
    if (done) return;
    idle = moved ? 0 : idle + 1;
    if (idle > 200)
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    else if (idle > 0)
      std::this_thread::yield();
  }
}

}  // namespace cuda_emulator
