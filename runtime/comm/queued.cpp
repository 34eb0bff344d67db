#include "runtime/comm/queued.h"

#include <chrono>
#include <cstring>

#include "runtime/device/start_thread.h"

namespace initrt {
namespace {

using namespace std::chrono_literals;

constexpr auto kIdleSleep = 10ms;       // how late a failure elsewhere may be noticed
constexpr int kPollsBeforeSleep = 200;  // tens of microseconds
constexpr auto kShortestSleep = 20us;
constexpr auto kLongestSleep = 500us;

void finish(Transfer& transfer, Transfer::State state) {
  transfer.state.store(state, std::memory_order_release);
  transfer.state.notify_all();
}

std::string message_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace

void QueuedCommunicator::start_thread() {
  thread_ = initrt::start_thread("the communication thread", [this] { run(); });
}

void QueuedCommunicator::stop_thread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

TransferHandle QueuedCommunicator::queue(TransferHandle transfer) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
    transfer->sequence = next_sequence_++;
    incoming_.push_back(transfer);
  }
  wake_.notify_one();
  return transfer;
}

void QueuedCommunicator::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  wait(start_all_gather({}, mine, all));
}

TransferHandle QueuedCommunicator::start_all_gather(std::function<bool()> ready,
                                                    std::span<const std::byte> chunk,
                                                    std::span<std::byte> whole) {
  auto transfer = std::make_shared<Transfer>();
  transfer->kind = Transfer::Kind::AllGather;
  transfer->out = chunk;
  transfer->in = whole;
  transfer->ready = std::move(ready);
  return queue(std::move(transfer));
}

void QueuedCommunicator::send_receive(PartsToSend out, PartsToReceive in) {
  auto transfer = std::make_shared<Transfer>();
  transfer->kind = Transfer::Kind::SendReceive;
  transfer->out_parts = out;
  transfer->in_parts = in;
  wait(queue(std::move(transfer)));
}

void QueuedCommunicator::broadcast(std::vector<std::byte>& data, std::uint32_t root) {
  const std::uint64_t mine = data.size();
  std::vector<std::uint64_t> sizes(size());
  all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(sizes)));
  data.resize(sizes[root]);
  auto transfer = std::make_shared<Transfer>();
  transfer->kind = Transfer::Kind::Broadcast;
  transfer->in = data;
  transfer->root = root;
  wait(queue(std::move(transfer)));
}

Interval QueuedCommunicator::wait(const TransferHandle& transfer) {
  ++waiting_;
  wake_.notify_one();  // the thread may sleep between looks at what nobody waited for
  transfer->state.wait(Transfer::State::Pending, std::memory_order_acquire);
  --waiting_;
  if (transfer->state.load(std::memory_order_acquire) == Transfer::State::Failed) {
    std::rethrow_exception(transfer->failure);
  }
  return transfer->under_way;
}

void QueuedCommunicator::check() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void QueuedCommunicator::fail_transfers(const std::exception_ptr& failure,
                                        std::deque<TransferHandle>& transfers) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = failure;
  for (std::deque<TransferHandle>* list : {&transfers, &incoming_}) {
    for (const TransferHandle& transfer : *list) {
      transfer->failure = failure_;
      finish(*transfer, Transfer::State::Failed);
    }
    list->clear();
  }
}

bool QueuedCommunicator::next_is_ready(std::deque<TransferHandle>& queued) {
  if (queued.empty()) return false;
  try {
    return !queued.front()->ready || queued.front()->ready();
  } catch (...) {
    const std::exception_ptr failure = std::current_exception();
    on_ready_failure(message_of(failure));
    fail_transfers(failure, queued);
    return false;
  }
}

void QueuedCommunicator::step(std::deque<TransferHandle>& queued,
                              std::deque<TransferHandle>& active) {
  while (next_is_ready(queued)) {
    active.push_back(queued.front());
    queued.pop_front();
    active.back()->under_way.begin = host_time();
    begin(active.back());
  }
  // Each leaves the list at once when it is done: test() may throw for the next.
  for (auto next = active.begin(); next != active.end();) {
    if (test(*next)) {
      (*next)->under_way.end = host_time();
      finish(**next, Transfer::State::Done);
      next = active.erase(next);
    } else {
      ++next;
    }
  }
  poll();
}

bool QueuedCommunicator::may_spin(std::chrono::steady_clock::time_point since) const {
  return spin_.load(std::memory_order_relaxed) && waiting_.load(std::memory_order_relaxed) > 0 &&
         std::chrono::steady_clock::now() - since < longest_spin_;
}

void QueuedCommunicator::run() {
  std::deque<TransferHandle> queued;
  std::deque<TransferHandle> active;
  int polls = 0;
  bool waited_for = false;
  auto changed = std::chrono::steady_clock::now();  // a transfer came or ended, or a wait began
  auto sleep = std::chrono::duration_cast<std::chrono::microseconds>(kShortestSleep);
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const bool idle = queued.empty() && active.empty();
      if (idle && incoming_.empty()) {
        if (stopping_) return;
        wake_.wait_for(lock, kIdleSleep);
      }
      if (!incoming_.empty()) polls = 0;
      queued.insert(queued.end(), incoming_.begin(), incoming_.end());
      incoming_.clear();
    }
    try {
      const std::size_t before = active.size() + queued.size();
      step(queued, active);
      if (active.size() + queued.size() != before) polls = 0;
    } catch (...) {
      const std::exception_ptr failure = std::current_exception();
      on_failure(message_of(failure));
      queued.insert(queued.begin(), active.begin(), active.end());
      active.clear();
      fail_transfers(failure, queued);
    }
    if (active.empty() && queued.empty()) continue;
    if (polls == 0) sleep = kShortestSleep;
    const bool waited = waiting_.load(std::memory_order_relaxed) > 0;
    if (polls == 0 || (waited && !waited_for)) changed = std::chrono::steady_clock::now();
    waited_for = waited;
    if (++polls < kPollsBeforeSleep) {
      std::this_thread::yield();
      continue;
    }
    if (!active.empty() && may_spin(changed)) continue;
    // Cores are fewer than threads, nobody waits for what is under way, or only a chunk that has
    // not arrived holds the queue up.
    std::unique_lock lock(mutex_);
    if (incoming_.empty()) wake_.wait_for(lock, sleep);
    sleep = std::min(sleep * 2, std::chrono::microseconds(kLongestSleep));
  }
}

}  // namespace initrt
