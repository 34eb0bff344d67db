// From a prepared model to one that runs: placement, device, memory plan, instance, progress. What
// run and score have in common.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "launch/commands/test_pause.h"
#include "launch/output/progress.h"
#include "launch/output/report.h"
#include "launch/output/timeline_file.h"
#include "runtime/device/ledger.h"
#include "runtime/machine/device_choice.h"
#include "runtime/machine/placement.h"
#include "runtime/machine/world.h"
#include "runtime/start/open_model.h"
#include "runtime/storage/output_file.h"

namespace initrt {

/// What the command line says beside the job.
struct RunOptions {
  std::string config;                 ///< path of the job file, or ""
  std::vector<std::string> settings;  ///< --set
  std::string progress = "auto";
  std::string report;    ///< where to write the report as JSON, or ""
  std::string timeline;  ///< where to write the timeline, or ""
  std::string metrics;   ///< where to write metrics for Prometheus, or ""
  bool verbose = false;
};

/// One rank's running model. Loading has begun when it is built; sweeps may begin at once.
class RunningRank {
 public:
  /// Collective. @param shape without what the device and the transport decide, which is filled in
  RunningRank(World& world, const Job& job, const OpenModel& model, RunShape shape,
              const RunOptions& options);

  [[nodiscard]] Engine& engine() { return instance_->engine(); }
  [[nodiscard]] const RunShape& shape() const { return shape_; }

  /// Waits until all of loading has been shown: something else is about to be.
  void end_progress();

  /// Waits for the end of loading, and collects what this rank has to report; not collective.
  [[nodiscard]] RankReport finish();

  /// Gathers all ranks' reports; rank 0 shows them on standard error, and writes them, and the
  /// timeline, to the files that the options name. Collective.
  void give_report(const RankReport& mine);

 private:
  void bring_up(const RunOptions& options);
  // From another thread: tells how far loading is, and ends the world if a signal (StopSignals)
  // asks for it meanwhile, however slowly it goes: there is nothing to finish.
  void watch_loading();
  void check_memory() const;
  void check_gpu_memory_left() const;
  void show_warnings(const RunOptions& options) const;
  void compare_with_plan() const;
  void show_report(const std::vector<RankReport>& reports);

  World& world_;
  const Job& job_;
  const OpenModel& model_;
  std::optional<OutputFile> report_file_;  // on rank 0: opened before hours of work, not after
  std::optional<TimelineFile> timeline_;   // on every rank, where one is wanted
  std::optional<TestPause> pause_;
  const DeviceChoice choice_;  // binds this thread: before any other is started
  const CpuPlacement cpu_;
  const Transport transport_;
  const std::unique_ptr<Device> device_;
  const StagingRing staging_;
  RunShape shape_;
  Placement placement_;
  Ledger ledger_;
  std::unique_ptr<Instance> instance_;
  std::unique_ptr<Progress> progress_;  // uses instance_
  std::jthread watch_;                  // the same
};

/// "initrt: warning: ..." on standard error.
void warn(const std::string& text);

/// Says on standard error which of several checkpoints in a directory is read.
void note_choice(const Catalog& catalog);

}  // namespace initrt
