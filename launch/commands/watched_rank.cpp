#include "launch/commands/watched_rank.h"

#include <cstdio>

#include "launch/machine/stop_signals.h"
#include "launch/output/log.h"
#include "launch/output/report.h"
#include "runtime/faults/faulty_files.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The file is the first of the checkpoint's.
void arrive_at_plan(FaultInjector& fault, const Catalog& catalog) {
  fault.arrive(FaultStage::Plan, 0);
  fault.on_file(catalog.files.front().path, catalog.files.front().bytes - 1);
}

}  // namespace

WatchedRank::WatchedRank(World& world, const Job& job, const OpenModel& model, RunShape shape,
                         const RunOptions& options)
    : world_(world), job_(job), model_(model) {
  // Before anything of this is unwound, which may wait for other ranks.
  world.guard([&] { bring_up(shape, options); });
}

void WatchedRank::bring_up(RunShape shape, const RunOptions& options) {
  World& world = world_;
  FaultInjector* const fault = armed_fault();
  if (fault != nullptr) arrive_at_plan(*fault, model_.catalog);
  if (world.rank() == 0 && !options.report.empty()) report_file_.emplace(options.report);
  if (!options.timeline.empty()) timeline_.emplace(world.comm(), options.timeline);
  RankOptions rank;
  rank.machine = job_.machine;
  rank.notices = log_notices();
  if (fault != nullptr) rank.open_file = open_faulty_file;
  rank.while_loading = [&world] {
    if (const int signal = asked_to_stop(); signal != 0) {
      world.stop(fmt::format("stopped by {} while loading", signal_name(signal)),
                 stop_status(signal));
    }
  };
  rank.timeline = timeline_ ? &timeline_->timeline() : nullptr;
  rank_ = std::make_unique<RunningRank>(world, model_, shape, std::move(rank));
  if (timeline_) timeline_->start(world.one_node());
  rank_->start_loading();
  if (world.rank() == 0) {
    progress_ = std::make_unique<Progress>(progress_style(options.progress),
                                           [&world] { return world.bytes_of_ranks(); });
  }
}

void WatchedRank::end_progress() {
  if (progress_) progress_->finish();
}

RankReport WatchedRank::finish() {
  const RankReport report = rank_->finish();
  end_progress();
  return report;
}

void WatchedRank::give_report(const RankReport& mine) {
  const std::vector<RankReport> reports = gather_reports(world_.comm(), mine);
  if (world_.rank() == 0) show_report(reports);
  if (timeline_) timeline_->write(model_.graph);
}

void WatchedRank::show_report(const std::vector<RankReport>& reports) {
  const RunFacts facts{std::string(name(rank_->transport())), rank_->device_name(),
                       model_.bindings.payload_bytes, rank_->memory()};
  const nlohmann::ordered_json report = report_json(job_, facts, reports);
  std::fputs(report_text(report).c_str(), stderr);
  if (!report_file_) return;
  report_file_->write(report.dump(2) + "\n");
  report_file_->commit();
}

}  // namespace initrt
