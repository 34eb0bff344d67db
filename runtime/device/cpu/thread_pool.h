// Threads for loops of 10 to 300 microseconds, some two hundred in a decode step: workers wait
// for the next loop by spinning for a moment and only then sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace initrt::cpu {

class ThreadPool {
 public:
  /// @param threads compute threads, at least 1; the caller of parallel_for() counts as one.
  /// @param spin whether waiting threads may spin before they sleep. Not where threads outnumber
  ///   cores: a spinning thread then takes the time of the one it waits for.
  /// @throws Error where threads is 0 or the system does not start a thread.
  ThreadPool(unsigned threads, bool spin);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  /// Calls body(i) for every i < count, each once, on any thread, and returns when all are done.
  /// Threads take the next index as they get free, so that one slow core delays one piece only.
  /// body must not throw and must not call the pool; one caller at a time.
  template <class Body>
  void parallel_for(std::uint32_t count, const Body& body) {
    if (count <= 1 || workers_.empty()) {
      for (std::uint32_t i = 0; i < count; ++i) body(i);
      return;
    }
    run(count, {[](const void* context, std::uint32_t i) noexcept {
                  (*static_cast<const Body*>(context))(i);
                },
                &body});
  }

 private:
  struct Job {
    void (*body)(const void* context, std::uint32_t index) noexcept = nullptr;
    const void* context = nullptr;
  };

  void run(std::uint32_t count, Job job);
  void work();
  void worker();
  void stop();
  void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old) const;

  // Apart by cache lines: taking an index does not disturb those who wait.
  Job job_;                                            ///< read only by holders of an index
  alignas(64) std::atomic<std::uint64_t> tickets_{0};  ///< count << 32 | next index
  alignas(64) std::atomic<std::uint32_t> pending_{0};  ///< indices not yet done
  alignas(64) std::atomic<std::uint32_t> loops_{0};    ///< loops started; workers wait for the next
  std::atomic<bool> stopping_{false};
  const std::uint32_t spins_;
  std::vector<std::thread> workers_;
};

}  // namespace initrt::cpu
