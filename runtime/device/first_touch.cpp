#include "runtime/device/first_touch.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace initrt {
namespace {

#ifndef MADV_POPULATE_WRITE
constexpr int MADV_POPULATE_WRITE = 23;  // Linux 5.14
#endif

constexpr std::uint64_t kExtent = 2u << 20;  // a huge page

/// Extents of a kind at first: the very first may pay for page tables too.
constexpr std::uint32_t kTrials = 2;
/// Extents from one trial of the other kind to the next, at least and at most.
constexpr std::uint32_t kLeastInterval = 16, kMostInterval = 256;
/// Huge pages make what runs later some percent faster, so they may cost a bit more.
constexpr double kWorthOfHuge = 1.25;

/// This thread's own, in seconds: other threads may share its core.
double thread_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Has the kernel map all pages, without changing what is in them.
void populate(std::byte* at) {
  if (::madvise(at, kExtent, MADV_POPULATE_WRITE) == 0) return;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (std::uint64_t i = 0; i < kExtent; i += page) {
    std::atomic_ref(*reinterpret_cast<unsigned char*>(at + i))
        .fetch_or(0, std::memory_order_relaxed);
  }
}

int advice(PageSizeChoice::Kind kind) {
  return kind == PageSizeChoice::Huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
}

PageSizeChoice::Kind other(PageSizeChoice::Kind kind) {
  return kind == PageSizeChoice::Huge ? PageSizeChoice::Small : PageSizeChoice::Huge;
}

}  // namespace

PageSizeChoice::Kind PageSizeChoice::next() {
  Kind kind = preferred_;
  if (huge_asked_ < kTrials) {
    kind = Huge;
  } else if (small_asked_ < kTrials) {
    kind = Small;
  } else if (huge_seconds_ > 0 && --until_trial_ == 0) {
    kind = other(preferred_);
    until_trial_ = preferred_ == Huge ? kMostInterval : interval_;
  }
  ++(kind == Huge ? huge_asked_ : small_asked_);
  return kind;
}

void PageSizeChoice::note(Kind kind, double seconds) {
  const bool first = small_seconds_ == 0;
  if (kind == Small) small_seconds_ = first ? seconds : (3 * small_seconds_ + seconds) / 4;
  if (kind == Huge) huge_seconds_ = seconds;
  if (small_seconds_ == 0 || huge_seconds_ == 0) return;
  if (kind == Huge || first) judge_huge(huge_seconds_);
}

void PageSizeChoice::judge_huge(double seconds) {
  gain_ += small_seconds_ - seconds;
  if (seconds <= kWorthOfHuge * small_seconds_) {
    if (preferred_ == Small) until_trial_ = kMostInterval;
    preferred_ = Huge;
    return;
  }
  interval_ =
      gain_ > 0 ? std::max(interval_ / 2, kLeastInterval) : std::min(interval_ * 2, kMostInterval);
  until_trial_ = interval_;
  preferred_ = Small;
  gain_ = 0;
}

FirstTouch::FirstTouch(std::span<std::byte> memory)
    : cores_(std::max(1u, std::thread::hardware_concurrency())) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::uint64_t before = (kExtent - begin % kExtent) % kExtent;
  if (memory.size() <= before) return;
  first_ = memory.data() + before;
  extents_ = (memory.size() - before) / kExtent;
  states_ = std::make_unique<std::atomic<State>[]>(extents_);
}

FirstTouch::~FirstTouch() {
  if (asked_ != PageSizeChoice::Huge) ::madvise(first_, extents_ * kExtent, MADV_HUGEPAGE);
}

void FirstTouch::touch(const std::byte* begin, std::uint64_t bytes) {
  if (extents_ == 0 || bytes == 0 || begin + bytes <= first_) return;
  const std::uint64_t first = begin < first_ ? 0 : static_cast<std::uint64_t>(begin - first_);
  const auto end = static_cast<std::uint64_t>(begin + bytes - first_);
  const std::uint64_t last = std::min((end - 1) / kExtent, extents_ - 1);
  for (std::uint64_t extent = first / kExtent; extent <= last; ++extent) {
    std::atomic<State>& state = states_[extent];
    State untouched = State::Untouched;
    if (state.load(std::memory_order_acquire) != untouched) continue;
    cores_.acquire();
    if (state.compare_exchange_strong(untouched, State::Busy)) {
      touch_extent(extent);
      state.store(State::Touched, std::memory_order_release);
      state.notify_all();
    }
    cores_.release();
  }
  // Pages that another thread is still at would be taken one by one. They come last, so that
  // threads which write to the same extents touch some of them each.
  for (std::uint64_t extent = first / kExtent; extent <= last; ++extent) {
    states_[extent].wait(State::Busy, std::memory_order_acquire);
  }
}

void FirstTouch::touch_extent(std::uint64_t extent) {
  std::byte* const at = first_ + extent * kExtent;
  const PageSizeChoice::Kind kind = begin_extent(at);
  const double begin = thread_time();
  populate(at);
  end_extent(kind, at, thread_time() - begin);
}

// The kernel is told of the whole memory when preference changes, and of one extent for a trial: a
// mapping is split only then.
PageSizeChoice::Kind FirstTouch::begin_extent(std::byte* at) {
  const std::lock_guard lock(mutex_);
  const PageSizeChoice::Kind kind = choice_.next();
  if (asked_ != choice_.preferred()) {
    asked_ = choice_.preferred();
    ::madvise(first_, extents_ * kExtent, advice(asked_));
  }
  if (kind != asked_) ::madvise(at, kExtent, advice(kind));
  return kind;
}

void FirstTouch::end_extent(PageSizeChoice::Kind kind, std::byte* at, double seconds) {
  const std::lock_guard lock(mutex_);
  choice_.note(kind, seconds);
  if (kind != asked_) ::madvise(at, kExtent, advice(asked_));
  statistics_.seconds += seconds;
  (kind == PageSizeChoice::Huge ? statistics_.huge_bytes : statistics_.small_bytes) += kExtent;
}

FirstTouch::Statistics FirstTouch::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace initrt
