// The first touch of host memory that is written once: each 2 MiB get their pages before they are
// written, of the size that costs less on this machine at this time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <semaphore>
#include <span>

namespace initrt {

/// Huge pages or small ones, by what either took until now. Where a virtual machine's host takes
/// free memory back, the first touch of a huge page that it no longer backs takes five to ten times
/// that of small pages, and of one that it still backs a third. Which of them it will be cannot be
/// asked, but one is mostly followed by its like. So huge pages are taken as long as they cost
/// little, and tried again after a while: sooner if the last such run has paid for how it ended,
/// else later. Not thread-safe.
class PageSizeChoice {
 public:
  enum Kind : std::uint8_t { Huge, Small };

  /// For the next 2 MiB. note() tells what they took; calls may overlap.
  [[nodiscard]] Kind next();
  /// @param seconds of the thread that touched 2 MiB
  void note(Kind kind, double seconds);

  [[nodiscard]] Kind preferred() const { return preferred_; }

 private:
  void judge_huge(double seconds);

  std::uint32_t huge_asked_ = 0, small_asked_ = 0;
  double huge_seconds_ = 0;   // of the last; 0: not known
  double small_seconds_ = 0;  // late ones counting more; 0: not known
  Kind preferred_ = Small;    // until huge pages are known: what costs little at the worst
  double gain_ = 0;           // of this run of huge pages, in seconds
  std::uint32_t interval_ = 16, until_trial_ = 16;
};

/// Thread-safe.
class FirstTouch {
 public:
  struct Statistics {
    double seconds = 0;                             ///< of all threads together
    std::uint64_t huge_bytes = 0, small_bytes = 0;  ///< touched with either kind asked for
  };

  /// @param memory page-aligned mappings, not written yet where pages are to be chosen; outlives
  ///        this. Whole 2 MiB of it at multiples of 2 MiB are seen to, what is around them is not.
  explicit FirstTouch(std::span<std::byte> memory);
  FirstTouch(const FirstTouch&) = delete;
  FirstTouch& operator=(const FirstTouch&) = delete;
  /// Small pages may become huge ones later, as the kernel finds time.
  ~FirstTouch();

  /// Before [begin, begin + bytes) of the memory is written. What it holds stays.
  void touch(const std::byte* begin, std::uint64_t bytes);

  [[nodiscard]] Statistics statistics() const;

 private:
  void touch_extent(std::uint64_t extent);
  PageSizeChoice::Kind begin_extent(std::byte* at);
  void end_extent(PageSizeChoice::Kind kind, std::byte* at, double seconds);

  std::byte* first_ = nullptr;  // of the first extent
  std::uint64_t extents_ = 0;
  enum class State : std::uint8_t { Untouched, Busy, Touched };
  std::unique_ptr<std::atomic<State>[]> states_;  // by extent

  std::counting_semaphore<> cores_;  // more threads than those would only wait in the kernel
  mutable std::mutex mutex_;         // guards what follows
  PageSizeChoice choice_;
  PageSizeChoice::Kind asked_ = PageSizeChoice::Huge;  // of the kernel, for all extents
  Statistics statistics_;
};

}  // namespace initrt
