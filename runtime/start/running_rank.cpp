#include "runtime/start/running_rank.h"

#include <chrono>
#include <system_error>
#include <utility>

#include "runtime/comm/nccl/nccl.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/host_memory.h"
#include "runtime/faults/faulty_files.h"
#include "runtime/machine/limits.h"
#include "runtime/machine/memory_check.h"
#include "runtime/machine/message_memory.h"
#include "runtime/machine/transport.h"
#include "runtime/start/run_shape.h"
#include "runtime/start/same_checkpoint.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::chrono::milliseconds kLook{20};  // how late while_loading may be called

std::unique_ptr<Device> make_device(const RankOptions& options, const DeviceChoice& choice,
                                    const CpuPlacement& cpu, std::uint32_t rank) {
  if (choice.kind == DeviceKind::Cuda) {
    cuda::DeviceOptions device{options.machine.gpu_direct != "off", options.machine.tf32};
    const auto warn = [notices = options.notices](const std::string& text) { notices.warn(text); };
    if (rank == 0) device.note = warn;
    device.note_own = warn;
    return cuda::make_device(choice.gpu, device);
  }
  return make_cpu_device(cpu.instruction_set, cpu.threads, cpu.spin);
}

}  // namespace

RunningRank::RunningRank(World& world, const OpenModel& model, RunShape shape, RankOptions options)
    : world_(world),
      model_(model),
      options_(std::move(options)),
      choice_(world.guard([&] { return choose_device(options_.machine, world.comm()); })),
      cpu_(world.guard([&] { return place_on_cpu(options_.machine, world.comm()); })),
      transport_(world.guard([&] {
        return choose_transport(options_.machine,
                                {world.size(), world.one_node(), choice_.kind, choice_.shared},
                                model.graph.units.size());
      })),
      device_(world.guard([&] { return make_device(options_, choice_, cpu_, world.rank()); })),
      shape_(shape) {
  // Before anything of this is unwound, which joins threads and may wait for the device.
  world.guard([&] { bring_up(); });
}

void RunningRank::bring_up() {
  world_.set_spin(cpu_.spin);
  placement_ = place_memory(
      model_, world_.size(), transport_,
      [this](const ProductSizes& products) { return device_->needs(products); }, shape_);
  check_memory();
  check_checkpoint();
  give_notices();
  const auto hook = [this](Stage stage, const std::function<void(std::uint32_t)>& told) {
    return [this, stage, &told](std::uint32_t unit) {
      world_.comm().note_progress(stage, unit);
      if (told) told(unit);
    };
  };
  InstanceOptions instance;
  instance.transport = transport_;
  instance.shape = shape_;
  instance.staging = make_staging_ring(shape_.staging_bytes);
  instance.spin = cpu_.spin;
  instance.timeline = options_.timeline;
  instance.make_nccl_exchange = [this](Communicator& base) {
    return nccl::make_exchange(*device_, base, options_.timeline != nullptr);
  };
  instance.describe_failure = failure_text;
  instance.on_connected = [this] { check_gpu_memory_left(); };
  instance.open_file = options_.open_file;
  instance.on_load = hook(Stage::Load, options_.on_load);
  instance.on_execute = hook(Stage::Generate, options_.on_execute);
  instance_ = std::make_unique<Instance>(model_.view(), placement_, std::move(instance),
                                         world_.comm(), *device_, ledger_);
  compare_with_plan();
}

void RunningRank::start_loading() {
  world_.guard([&] {
    instance_->start_loading();
    watch_loading();
  });
}

void RunningRank::check_memory() const {
  const MemoryPlan& memory = placement_.memory;
  const bool own = device_->is_discrete();
  check_process_limits(
      process_needs(memory, own, transport_ == Transport::Mapped ? world_.size() : 0));
  const std::string short_of_memory =
      check_node_memory(world_.comm(), node_id(), memory.host_total(own));
  options_.notices.warn(short_of_memory);
  // Ranks that map each other's memory send each other little.
  if (transport_ == Transport::Mpi && world_.first_of_node()) {
    options_.notices.warn(message_memory_warning(
        message_memory(), world_.one_node() ? "a node" : "node " + host_name()));
  }
  check_gpu_memory_left();
}

// Ranks of one node have one file by one path, and one that is replaced is seen by its stamp.
void RunningRank::check_checkpoint() {
  if (world_.one_node()) return;
  const auto files = make_local_files({});
  check_same_checkpoint(world_.comm(), *files, model_.catalog, model_.bindings,
                        {world_.first_of_node(), host_name()});
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

void RunningRank::give_notices() const {
  const Notices& notices = options_.notices;
  notices.warn(choice_.warning);
  if (choice_.kind == DeviceKind::Cpu) notices.warn(cpu_.warning);
  if (world_.rank() == 0) note_model(model_, notices);
}

// Everything is allocated by now, and the plan said what that would be.
void RunningRank::compare_with_plan() const {
  const MemoryPlan held = ledger_.held();
  for (std::size_t i = 0; i < kMemoryCategories; ++i) {
    if (held.bytes[i] == placement_.memory.bytes[i]) continue;
    options_.notices.warn(fmt::format("{} takes {} bytes, planned were {}",
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
      if (options_.while_loading) options_.while_loading();
      std::this_thread::sleep_for(kLook);
    }
  };
  try {
    watch_ = std::jthread(watch);
  } catch (const std::system_error&) {
    // No thread left for it: the first sweep is waited for.
  }
}

RankReport RunningRank::finish() {
  const LoadStatistics load = instance_->finish_loading();
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
    report.touch_seconds = load.touch_seconds;
  }
  const ExpertBytes experts = instance_->engine().experts();
  report.expert_bytes = experts.used_bytes;
  report.all_expert_bytes = experts.all_bytes;
  return report;
}

}  // namespace initrt
