// The reads of all units, in order, for several workers; and what of them has arrived.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "sharding/reads.h"

namespace initrt {

/// Each unit is planned once, when the reads of those before it have been given out, by the worker
/// that asks next; others wait for the plan, but finish their reads meanwhile. Thread-safe.
class ReadQueue {
 public:
  using Plan = std::function<UnitReads(std::uint32_t unit)>;

  /// Something to be done: a task of a unit.
  struct Task {
    std::shared_ptr<const UnitReads> unit_reads;
    std::uint32_t unit = 0;
    std::uint32_t task = 0;  ///< of unit_reads->tasks
  };

  /// @param plan may throw; next() throws it on, and no other worker is given anything after that
  /// @param arrived told, in order and one call at a time, how many units have no task left that is
  /// not done; on the thread that did the last
  ReadQueue(std::uint32_t units, Plan plan, std::function<void(std::uint32_t units)> arrived);

  /// The next task, or none once all have been given out or the queue has been stopped.
  [[nodiscard]] std::optional<Task> next();
  /// A task of next() is done.
  void done(const Task& task);

  /// Nothing more is given out, and nobody waits for a plan.
  void stop();

  [[nodiscard]] bool all_arrived() const;

 private:
  void plan_next(std::unique_lock<std::mutex>& lock);
  void note_arrivals();

  const std::uint32_t units_;
  const Plan plan_;
  const std::function<void(std::uint32_t)> on_arrival_;

  mutable std::mutex mutex_;
  std::condition_variable planned_or_stopped_;
  // All that follows is guarded by mutex_.
  std::shared_ptr<const UnitReads> current_;  // of unit planned_ - 1
  std::uint32_t next_task_ = 0;               // of current_
  std::uint32_t planned_ = 0;                 // units that have been planned
  std::uint32_t arrived_ = 0;
  std::vector<std::uint32_t> remaining_;  // tasks of each planned unit that are not done
  bool planning_ = false, stopped_ = false;
};

}  // namespace initrt
