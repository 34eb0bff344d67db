// Which units' chunks have arrived in this rank's shard: the seam between loading and gathering.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>

namespace initrt {

/// Units arrive in execution order. Thread-safe.
class Arrivals {
 public:
  /// @param on_arrival told the new count whenever units have arrived, from the loading thread
  explicit Arrivals(std::function<void(std::uint32_t)> on_arrival = {})
      : on_arrival_(std::move(on_arrival)) {}

  /// The first `count` units are there. Whatever was written before is visible to who sees it.
  void advance(std::uint32_t count) {
    {
      const std::lock_guard lock(mutex_);
      count_.store(count, std::memory_order_release);
    }
    changed_.notify_all();
    if (on_arrival_) on_arrival_(count);
  }

  void fail(std::exception_ptr failure) {
    {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::move(failure);
      failed_.store(true, std::memory_order_release);
    }
    changed_.notify_all();
  }

  /// Whether `unit` is there. @throws what loading failed with
  [[nodiscard]] bool has(std::uint32_t unit) {
    check();
    return count_.load(std::memory_order_acquire) > unit;
  }

  void check() {
    if (!failed_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex_);
    std::rethrow_exception(failure_);
  }

  /// Blocks until the first `count` units are there. @throws what loading failed with
  void wait(std::uint32_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || count_.load() >= count; });
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  const std::function<void(std::uint32_t)> on_arrival_;
  std::atomic<std::uint32_t> count_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr failure_;  // guarded by mutex_
};

}  // namespace initrt
