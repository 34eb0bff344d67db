#include "runtime/start/rank.h"

#include <chrono>
#include <cstdio>
#include <system_error>

#include "launch/machine/stop_signals.h"
#include "runtime/comm/nccl/nccl.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/host_memory.h"
#include "runtime/machine/memory_check.h"
#include "runtime/machine/transport.h"
#include "runtime/storage/output_file.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::chrono::milliseconds kLook{20};  // how late a signal may be noticed while loading

std::unique_ptr<Device> make_device(const Job& job, const DeviceChoice& choice,
                                    const CpuPlacement& cpu, std::uint32_t rank) {
  if (choice.kind == DeviceKind::Cuda) {
    cuda::DeviceOptions options{job.load.gpu_direct != "off", job.cuda.tf32};
    if (rank == 0) options.note = warn;  // for all
    options.note_own = [rank](const std::string& text) {
      warn(fmt::format("rank {}: {}", rank, text));
    };
    return cuda::make_device(choice.gpu, options);
  }
  return make_cpu_device(cpu.instruction_set, cpu.threads, cpu.spin);
}

}  // namespace

void warn(const std::string& text) {
  const std::string line = "initrt: warning: " + one_line(text) + "\n";
  std::fputs(line.c_str(), stderr);
}

void note_choice(const Catalog& catalog) {
  std::vector<std::string> lines = {catalog.choice, describe_absent(catalog)};
  lines.insert(lines.begin() + 1, catalog.notes.begin(), catalog.notes.end());
  for (const std::string& line : lines) {
    if (!line.empty()) std::fputs(("initrt: " + one_line(line) + "\n").c_str(), stderr);
  }
}

RunningRank::RunningRank(World& world, const Job& job, const OpenModel& model, RunShape shape,
                         const RunOptions& options)
    : world_(world),
      job_(job),
      model_(model),
      pause_(test_pause()),
      choice_(choose_device(job, world.comm())),
      cpu_(place_on_cpu(job, world.comm())),
      transport_(choose_transport(job,
                                  {world.size(), world.one_node(), choice_.kind, choice_.shared},
                                  model.graph.units.size())),
      device_(make_device(job, choice_, cpu_, world.rank())),
      staging_(make_staging_ring(job.load.staging)),
      shape_(shape) {
  // Before anything of this is unwound, which joins threads and may wait for the device.
  world.guard([&] { bring_up(options); });
}

void RunningRank::bring_up(const RunOptions& options) {
  World& world = world_;
  const OpenModel& model = model_;
  world.set_spin(cpu_.spin);
  if (world.rank() == 0 && !options.report.empty()) report_file_.emplace(options.report);
  if (!options.timeline.empty()) timeline_.emplace(world.comm(), options.timeline);
  placement_ = place_memory(
      model, world.size(), transport_,
      [this](const ProductSizes& products) { return device_->needs(products); }, shape_);
  check_memory();
  if (pause_ && pause_->rank >= world.size()) {
    fail("INITRT_TEST_PAUSE names rank {} of {}", pause_->rank, world.size());
  }
  show_warnings(options);
  const auto hook = [this](Stage stage) {
    return [this, stage](std::uint32_t unit) {
      world_.comm().note_progress(stage, unit);
      pause_if_asked(pause_, world_.rank(), stage, unit);
    };
  };
  InstanceOptions instance;
  instance.transport = transport_;
  instance.shape = shape_;
  instance.staging = staging_;
  instance.spin = cpu_.spin;
  instance.timeline = timeline_ ? &timeline_->timeline() : nullptr;
  instance.make_nccl_exchange = [this](Communicator& base) {
    return nccl::make_exchange(*device_, base, timeline_.has_value());
  };
  instance.describe_failure = failure_text;
  instance.on_connected = [this] { check_gpu_memory_left(); };
  instance.on_load = hook(Stage::Load);
  instance.on_execute = hook(Stage::Generate);
  instance_ = std::make_unique<Instance>(model.view(), placement_, std::move(instance),
                                         world.comm(), *device_, ledger_);
  compare_with_plan();
  if (timeline_) timeline_->start(world.one_node());
  instance_->start_loading();
  watch_loading();
  if (world.rank() == 0) {
    progress_ = std::make_unique<Progress>(progress_style(options.progress),
                                           [&world] { return world.bytes_of_ranks(); });
  }
}

void RunningRank::check_memory() const {
  const MemoryPlan& memory = placement_.memory;
  const bool own = device_->is_discrete();
  const std::string short_of_memory =
      check_node_memory(world_.comm(), node_id(), memory.host_total(own));
  if (!short_of_memory.empty()) warn(short_of_memory);
  check_gpu_memory_left();
}

// By now every rank has its device, and with it what the driver keeps for each; the second time
// what NCCL takes, too. What is too much by far is told before NCCL fails for it in its own words.
void RunningRank::check_gpu_memory_left() const {
  if (!device_->is_discrete()) return;
  const cuda::GpuMemory gpu = cuda::memory_of(*device_);
  check_gpu_memory(world_.comm(),
                   {choice_.uuid, placement_.memory.device_total(true), gpu.total - gpu.now,
                    gpu_margin_bytes(gpu.total)},
                   device_->name());
}

void RunningRank::show_warnings(const RunOptions& options) const {
  if (!choice_.warning.empty()) warn(fmt::format("rank {}: {}", world_.rank(), choice_.warning));
  if (choice_.kind == DeviceKind::Cpu && !cpu_.warning.empty()) warn(cpu_.warning);
  if (world_.rank() != 0) return;
  note_choice(model_.catalog);
  if (!model_.warning.empty()) warn(model_.warning);
  if (!model_.bindings.unexpected.empty()) {
    warn(describe_unexpected(model_.bindings, options.verbose));
  }
  if (!model_.bindings.unused_quantization.empty()) {
    warn(describe_unused_quantization(model_.bindings));
  }
}

// Everything is allocated by now, and the plan said what that would be.
void RunningRank::compare_with_plan() const {
  const MemoryPlan held = ledger_.held();
  for (std::size_t i = 0; i < kMemoryCategories; ++i) {
    if (held.bytes[i] == placement_.memory.bytes[i]) continue;
    warn(fmt::format("rank {}: {} takes {} bytes, planned were {}", world_.rank(),
                     name(static_cast<MemoryCategory>(i)), held.bytes[i],
                     placement_.memory.bytes[i]));
  }
}

void RunningRank::watch_loading() {
  const auto watch = [this, &loader = instance_->loader()](const std::stop_token& left) {
    while (true) {
      const BytesDone bytes{loader.done_bytes(), loader.total_bytes(), true};
      world_.note_bytes(bytes);
      if (bytes.all() || left.stop_requested()) return;
      if (const int signal = asked_to_stop(); signal != 0) {
        world_.stop(fmt::format("stopped by {} while loading", signal_name(signal)),
                    stop_status(signal));
      }
      std::this_thread::sleep_for(kLook);
    }
  };
  try {
    watch_ = std::jthread(watch);
  } catch (const std::system_error&) {
    // No thread left for it: the first sweep is waited for.
  }
}

void RunningRank::end_progress() {
  if (progress_) progress_->finish();
}

RankReport RunningRank::finish() {
  const LoadStatistics load = instance_->finish_loading();
  end_progress();
  RankReport report;
  report.load_seconds = load.seconds;
  report.payload_bytes = load.requested_bytes;
  report.read_bytes = instance_->reads().read_bytes();
  report.direct_bytes = instance_->reads().direct_bytes.load();
  report.device_bytes = instance_->reads().device_bytes.load();
  report.memory_planned = placement_.memory.total();
  report.memory_peak = ledger_.peak();
  report.process_bytes = proportional_set_bytes();
  const std::span<const std::byte> shard = instance_->shard();
  report.shard_bytes = shard.size();
  if (device_->is_discrete()) {
    const MemoryPlan held = ledger_.held();
    const cuda::GpuMemory gpu = cuda::memory_of(*device_);
    report.gpu_bytes = held.device_total(true);
    report.gpu_bytes_at_start = gpu.at_start;
    report.gpu_bytes_in_use = gpu.now;
  } else {
    report.huge_page_bytes = huge_page_bytes(shard.data(), shard.size());
  }
  const ExpertBytes experts = instance_->engine().experts();
  report.expert_bytes = experts.used_bytes;
  report.all_expert_bytes = experts.all_bytes;
  return report;
}

void RunningRank::give_report(const RankReport& mine) {
  const std::vector<RankReport> reports = gather_reports(world_.comm(), mine);
  if (world_.rank() == 0) show_report(reports);
  if (timeline_) timeline_->write(model_.graph);
}

void RunningRank::show_report(const std::vector<RankReport>& reports) {
  const RunFacts facts{std::string(name(transport_)), device_->name(),
                       model_.bindings.payload_bytes, placement_.memory};
  const nlohmann::ordered_json report = report_json(job_, facts, reports);
  std::fputs(report_text(report).c_str(), stderr);
  if (!report_file_) return;
  report_file_->write(report.dump(2) + "\n");
  report_file_->commit();
}

}  // namespace initrt
