// A rank's communicator.
#include "communicator.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace cuda_emulator {
namespace {

void pause() { std::this_thread::sleep_for(std::chrono::microseconds(100)); }

}  // namespace

Communicator::Communicator(std::string name, int ranks, int rank, bool blocking, Device& device)
    : name_(std::move(name)),
      ranks_(ranks),
      rank_(rank),
      blocking_(blocking),
      device_(&device),
      bytes_(Runtime::get().communicator_bytes) {
  device_->used_bytes += bytes_;
}

Communicator::~Communicator() {
  if (starting_.joinable()) starting_.join();
  device_->used_bytes -= bytes_;
}

ncclResult_t Communicator::start() {
  if (blocking_) return meet();
  starting_ = std::thread([this] { meet(); });
  return ncclInProgress;
}

ncclResult_t Communicator::meet() {
  switch (rendezvous_.join(name_, ranks_, rank_)) {
    case Rendezvous::Joined::Yes:
      break;
    case Rendezvous::Joined::OtherSize:
      return fail(ncclInvalidUsage, "ranks differ in their number");
    case Rendezvous::Joined::RankTaken:
      return fail(ncclInvalidUsage, "two ranks have one number");
    case Rendezvous::Joined::NoMemory:
      return fail(ncclSystemError, "no shared memory");
  }
  while (!rendezvous_.complete()) {
    if (aborted_) {
      rendezvous_.close();
      return fail(ncclInternalError, "aborted while ranks were missing");
    }
    pause();
  }
  rendezvous_.close();
  state_ = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t Communicator::fail(ncclResult_t error, const std::string& why) {
  const std::scoped_lock lock(error_mutex_);
  error_ = why;
  state_ = error;
  return error;
}

std::string Communicator::last_error() {
  const std::scoped_lock lock(error_mutex_);
  return error_;
}

ncclResult_t Communicator::ready() {
  const ncclResult_t now = state_;
  if (now == ncclInProgress || polls_to_come_ > 0) return ncclInvalidArgument;
  return now;
}

ncclResult_t Communicator::later() {
  if (blocking_ || std::exchange(used_, true)) return ncclSuccess;
  polls_to_come_ = 1;
  return ncclInProgress;
}

ncclResult_t Communicator::state() {
  if (polls_to_come_ > 0) {
    --polls_to_come_;
    return ncclInProgress;
  }
  return state_;
}

void Communicator::wait_for_graphs() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (recorded > 0) {
    if (std::chrono::steady_clock::now() > until) {
      std::fputs("a communicator is destroyed while graphs hold its operations\n", stderr);
      std::abort();
    }
    pause();
  }
}

void Communicator::abort() {
  aborted_ = true;
  if (starting_.joinable()) starting_.join();
  while (running_ > 0) pause();
}

void Communicator::run(const std::vector<Transfer>& transfers) {
  ++running_;
  count(Runtime::get().counters.collectives);
  {
    const std::scoped_lock lock(one_at_a_time_);
    Runtime& runtime = Runtime::get();
    if (runtime.failure_of("a hanging collective")) {
      while (!aborted_) pause();
    } else if (const auto failure = runtime.failure_of("a collective")) {
      fail(static_cast<ncclResult_t>(*failure), "a failure that was asked for");
    } else if (!aborted_ && state_ == ncclSuccess) {
      cuda_emulator::run(rendezvous_, rank_, transfers, [this] { return aborted_.load(); });
    }
  }
  --running_;
}

}  // namespace cuda_emulator
