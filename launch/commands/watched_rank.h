// A rank that runs, and what a person sees of it: progress of loading, the report, the timeline.
// What run and score have in common.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "launch/commands/run_options.h"
#include "launch/job/job.h"
#include "launch/output/progress.h"
#include "launch/output/timeline_file.h"
#include "runtime/machine/world.h"
#include "runtime/start/running_rank.h"
#include "runtime/storage/output_file.h"

namespace initrt {

class WatchedRank {
 public:
  /// Loading has begun when it is built. A signal (StopSignals) that comes while it lasts ends the
  /// world, however slowly it goes: there is nothing to finish. Collective.
  /// @param shape see RunningRank
  WatchedRank(World& world, const Job& job, const OpenModel& model, RunShape shape,
              const RunOptions& options);

  [[nodiscard]] Engine& engine() { return rank_->engine(); }
  [[nodiscard]] const RunShape& shape() const { return rank_->shape(); }

  /// Waits until all of loading has been shown: something else is about to be.
  void end_progress();

  /// Waits for the end of loading, and collects what this rank has to report; not collective.
  [[nodiscard]] RankReport finish();

  /// Gathers all ranks' reports; rank 0 shows them on standard error, and writes them, and the
  /// timeline, to the files that the options name. Collective.
  void give_report(const RankReport& mine);

 private:
  void bring_up(RunShape shape, const RunOptions& options);
  void show_report(const std::vector<RankReport>& reports);

  World& world_;
  const Job& job_;
  const OpenModel& model_;
  std::optional<OutputFile> report_file_;  // on rank 0: opened before hours of work, not after
  std::optional<TimelineFile> timeline_;   // on every rank, where one is wanted
  std::unique_ptr<RunningRank> rank_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace initrt
