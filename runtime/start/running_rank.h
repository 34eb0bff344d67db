// From a model that is open to one that runs: devices and cores are agreed, memory is planned,
// allocated and compared with the plan, ranks are connected, and loading starts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "runtime/device/ledger.h"
#include "runtime/exec/instance.h"
#include "runtime/machine/device_choice.h"
#include "runtime/machine/machine_options.h"
#include "runtime/machine/placement.h"
#include "runtime/machine/world.h"
#include "runtime/start/open_model.h"
#include "runtime/start/rank_report.h"
#include "sharding/notices.h"

namespace initrt {

struct RankOptions {
  MachineOptions machine;
  /// What is the same on all ranks is told on rank 0, what is one rank's own there, without its
  /// number, which is World::speaker()'s.
  Notices notices;
  /// Told of each unit before each of its reads, from any of the loader's threads, and before
  /// it runs. May be empty.
  std::function<void(std::uint32_t unit)> on_load, on_execute;
  /// InstanceOptions::open_file; may be empty.
  decltype(InstanceOptions::open_file) open_file;
  /// Called every few milliseconds while loading lasts, from a thread of its own; must not throw.
  /// May be empty.
  std::function<void()> while_loading;
  Timeline* timeline = nullptr;  ///< told what happens when; outlives the rank, may be null
};

/// One rank's model.
class RunningRank {
 public:
  /// Everything is allocated and connected, nothing is loaded. Collective. `world` and `model` must
  /// outlive this. A failure ends the world (World::guard()).
  /// @param shape what generate_shape() or score_shape() gives: place_memory() is done here
  RunningRank(World& world, const OpenModel& model, RunShape shape, RankOptions options);

  /// Sweeps may begin at once: each unit is waited for where it is needed.
  void start_loading();

  [[nodiscard]] Engine& engine() { return instance_->engine(); }
  [[nodiscard]] const RunShape& shape() const { return shape_; }
  [[nodiscard]] Transport transport() const { return transport_; }
  [[nodiscard]] std::string device_name() const { return device_->name(); }
  [[nodiscard]] const MemoryPlan& memory() const { return placement_.memory; }

  /// Waits for the end of loading, and tells what this rank has measured of it; not collective.
  [[nodiscard]] RankReport finish();

 private:
  void bring_up();
  void watch_loading();
  void check_memory() const;
  void check_checkpoint();
  void check_gpu_memory_left() const;
  void give_notices() const;
  void compare_with_plan() const;

  World& world_;
  const OpenModel& model_;
  const RankOptions options_;
  const DeviceChoice choice_;  // binds this thread: before any other is started
  const CpuPlacement cpu_;
  const Transport transport_;
  const std::unique_ptr<Device> device_;
  RunShape shape_;
  Placement placement_;
  Ledger ledger_;
  std::unique_ptr<Instance> instance_;
  std::jthread watch_;  // uses instance_
};

}  // namespace initrt
