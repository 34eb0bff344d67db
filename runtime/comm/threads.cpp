#include "runtime/comm/threads.h"

#include <algorithm>

#include "sharding/error.h"

namespace initrt {

ThreadCommunicator::ThreadCommunicator(std::shared_ptr<ThreadWorld> world, std::uint32_t rank)
    : QueuedCommunicator(/*spin=*/false), world_(std::move(world)), rank_(rank) {
  start_thread();
}

ThreadCommunicator::~ThreadCommunicator() { stop_thread(); }

void ThreadCommunicator::begin(const TransferHandle& transfer) {
  const std::lock_guard lock(world_->mutex_);
  ThreadWorld::Posted& posted = world_->posted_[transfer->sequence];
  posted.by_rank.resize(size());
  posted.copied.resize(size());
  posted.by_rank[rank_] = transfer;
}

void ThreadCommunicator::copy_in(const ThreadWorld::Posted& posted, Transfer& transfer) const {
  const auto copy = [](std::span<const std::byte> from, std::byte* to) {
    if (from.data() != to) std::copy(from.begin(), from.end(), to);
  };
  for (std::uint32_t peer = 0; peer < size(); ++peer) {
    if (posted.by_rank[peer]->kind != transfer.kind) {
      fail("ranks {} and {} call different collectives", peer, rank_);
    }
  }
  switch (transfer.kind) {
    case Transfer::Kind::AllGather:
      for (std::uint32_t peer = 0; peer < size(); ++peer) {
        const std::span<const std::byte> chunk = posted.by_rank[peer]->out;
        if (chunk.size() * size() != transfer.in.size()) {
          fail("rank {} gives {} bytes to an all-gather of {}", peer, chunk.size(),
               transfer.in.size());
        }
        copy(chunk, transfer.in.data() + peer * chunk.size());
      }
      break;
    case Transfer::Kind::SendReceive:
      for (std::uint32_t peer = 0; peer < size(); ++peer) {
        const std::span<const std::byte> part = posted.by_rank[peer]->out_parts[rank_];
        const std::span<std::byte> to = transfer.in_parts[peer];
        if (part.size() != to.size()) {
          fail("rank {} sends {} bytes to rank {}, which expects {}", peer, part.size(), rank_,
               to.size());
        }
        copy(part, to.data());
      }
      break;
    case Transfer::Kind::Broadcast:
      copy(posted.by_rank[transfer.root]->in, transfer.in.data());
      break;
  }
}

bool ThreadCommunicator::test(const TransferHandle& transfer) {
  const std::lock_guard lock(world_->mutex_);
  check_world();  // a failed rank's memory may be gone
  const auto found = world_->posted_.find(transfer->sequence);
  if (found == world_->posted_.end()) return true;  // the last rank has cleared it
  ThreadWorld::Posted& posted = found->second;
  const auto here = [](const TransferHandle& handle) { return handle != nullptr; };
  if (!std::all_of(posted.by_rank.begin(), posted.by_rank.end(), here)) return false;
  if (!posted.copied[rank_]) {
    copy_in(posted, *transfer);
    posted.copied[rank_] = true;
    ++posted.done;
  }
  // Complete only when every rank has copied: until then this rank's memory is being read.
  if (posted.done < size()) return false;
  world_->posted_.erase(found);
  return true;
}

void ThreadCommunicator::poll() {
  const std::lock_guard lock(world_->mutex_);
  check_world();
}

void ThreadCommunicator::check_world() const {
  if (!world_->failure_.empty()) throw Error(world_->failure_);
}

void ThreadCommunicator::fail_world(const std::string& message) {
  const std::lock_guard lock(world_->mutex_);
  if (world_->failure_.empty()) world_->failure_ = fmt::format("rank {}: {}", rank_, message);
}

}  // namespace initrt
