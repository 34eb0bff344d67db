#include "runtime/load/read_queue.h"

#include <utility>

namespace initrt {

ReadQueue::ReadQueue(std::uint32_t units, Plan plan, std::function<void(std::uint32_t)> arrived)
    : units_(units), plan_(std::move(plan)), on_arrival_(std::move(arrived)), remaining_(units) {}

std::optional<ReadQueue::Task> ReadQueue::next() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (stopped_) return std::nullopt;
    if (current_ != nullptr && next_task_ < current_->tasks.size()) {
      return Task{current_, planned_ - 1, next_task_++};
    }
    if (planning_) {
      planned_or_stopped_.wait(lock);
    } else if (planned_ == units_) {
      return std::nullopt;
    } else {
      plan_next(lock);
    }
  }
}

// The queue changes only once the plan is there: if it cannot be made, what is left is whole.
void ReadQueue::plan_next(std::unique_lock<std::mutex>& lock) {
  const std::uint32_t unit = planned_;
  planning_ = true;
  lock.unlock();
  std::shared_ptr<const UnitReads> plan;
  try {
    plan = std::make_shared<const UnitReads>(plan_(unit));
  } catch (...) {
    lock.lock();
    planning_ = false;
    stopped_ = true;
    planned_or_stopped_.notify_all();
    throw;
  }
  lock.lock();
  planning_ = false;
  remaining_[unit] = static_cast<std::uint32_t>(plan->tasks.size());
  current_ = std::move(plan);
  next_task_ = 0;
  ++planned_;
  if (remaining_[unit] == 0) note_arrivals();
  planned_or_stopped_.notify_all();
}

void ReadQueue::done(const Task& task) {
  const std::lock_guard lock(mutex_);
  if (--remaining_[task.unit] == 0) note_arrivals();
}

void ReadQueue::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  planned_or_stopped_.notify_all();
}

bool ReadQueue::all_arrived() const {
  const std::lock_guard lock(mutex_);
  return arrived_ == units_;
}

// With mutex_ held, once some unit has no reads left. Units may finish out of order; they arrive
// when they and all before them are done.
void ReadQueue::note_arrivals() {
  const std::uint32_t before = arrived_;
  while (arrived_ < planned_ && remaining_[arrived_] == 0) ++arrived_;
  if (arrived_ != before) on_arrival_(arrived_);
}

}  // namespace initrt
