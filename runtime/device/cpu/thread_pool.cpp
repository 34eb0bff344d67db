// How a loop is handed out: the caller writes the job, then publishes its tickets (count and next
// index in one word). A thread takes an index by compare-and-swap and only then reads the job: as
// long as it holds an index of it, the loop cannot end and the job cannot change, so a worker that
// wakes late finds no ticket and does no harm.
#include "runtime/device/cpu/thread_pool.h"

#include <system_error>

#include "sharding/error.h"

namespace initrt::cpu {
namespace {

/// Pauses before a waiting thread sleeps: 50 to 150 microseconds, more than the serial parts
/// between the loops of a step.
constexpr std::uint32_t default_spins = 2000;
/// Pauses between offers of the core to whoever else wants it.
constexpr std::uint32_t spins_per_yield = 64;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

}  // namespace

ThreadPool::ThreadPool(unsigned threads, bool spin) : spins_(spin ? default_spins : 0) {
  if (threads == 0) fail("cpu: 0 compute threads, expected at least 1");
  workers_.reserve(threads - 1);
  try {
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this] { worker(); });
  } catch (const std::system_error& error) {
    const std::size_t started = workers_.size() + 1;
    stop();
    throw ResourceError(Resource::Threads,
                        fmt::format("cpu: only {} of {} compute threads could be started: {}",
                                    started, threads, error.what()));
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stopping_.store(true);
  loops_.fetch_add(1);
  loops_.notify_all();
  for (std::thread& thread : workers_) thread.join();
  workers_.clear();
}

void ThreadPool::run(std::uint32_t count, Job job) {
  job_ = job;
  pending_.store(count, std::memory_order_relaxed);
  tickets_.store(std::uint64_t{count} << 32, std::memory_order_release);
  loops_.fetch_add(1);
  loops_.notify_all();
  work();
  for (std::uint32_t left; (left = pending_.load(std::memory_order_acquire)) != 0;) {
    wait_while(pending_, left);
  }
}

void ThreadPool::work() {
  std::uint64_t ticket = tickets_.load(std::memory_order_acquire);
  while (static_cast<std::uint32_t>(ticket) < ticket >> 32) {
    if (!tickets_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
      continue;
    }
    job_.body(job_.context, static_cast<std::uint32_t>(ticket));
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
    ticket = tickets_.load(std::memory_order_acquire);
  }
}

void ThreadPool::worker() {
  for (;;) {
    const std::uint32_t seen = loops_.load();
    if (stopping_.load()) return;
    work();
    wait_while(loops_, seen);
  }
}

void ThreadPool::wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old) const {
  for (std::uint32_t i = 1; i <= spins_; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
    if (i % spins_per_yield == 0) std::this_thread::yield();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace initrt::cpu
