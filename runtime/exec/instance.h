// One rank's share of a model, brought up: memory as planned, the loader streaming into it, and on
// top the gather and the engine. Everything is allocated before the first byte is read.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/comm/exchange.h"
#include "runtime/comm/mapped.h"
#include "runtime/exec/engine.h"
#include "runtime/exec/scale_exchange.h"
#include "runtime/load/loader.h"
#include "runtime/storage/range_reader.h"
#include "sharding/memory_plan.h"

namespace initrt {

class Catalog;
struct Bindings;
struct CheckpointFile;

/// What to bring up. References outlive the instance.
struct Model {
  const Graph& graph;
  const Layout& layout;
  const Bindings& bindings;
  const Catalog& catalog;
};

/// How ranks share units.
enum class Transport : std::uint8_t {
  Self,    ///< one rank: its shard is the model
  Mapped,  ///< one node: ranks map each other's chunks
  Mpi,     ///< all-gathers over the base communicator, from and to host memory
  Nccl,    ///< all-gathers between GPUs
};

[[nodiscard]] std::string_view name(Transport transport);

/// How units are reached with a transport, for the memory plan.
[[nodiscard]] GatherKind gather_kind(Transport transport);

/// Whether with it units go through host memory to a device that has its own.
[[nodiscard]] bool goes_through_host(Transport transport, bool discrete_memory);

struct InstanceOptions {
  Transport transport = Transport::Self;
  RunShape shape;  ///< what the placement was planned with
  StagingRing staging;
  bool spin = true;  ///< whether ranks have cores of their own to wait on
  /// Makes the exchange between GPUs, for Transport::Nccl. Collective.
  std::function<std::unique_ptr<Exchange>(Communicator& base)> make_nccl_exchange;
  /// Called once the ranks are connected, before the device's memory is allocated; may be empty.
  /// Through the host (mpi) connecting takes pinned memory, as planned.
  std::function<void()> on_connected;
  /// What the other ranks are told of a failure to come up; what() where empty.
  std::function<std::string(const std::exception&)> describe_failure;
  /// Opens a file that this rank reads of; a FileReader where empty.
  std::function<std::unique_ptr<RangeReader>(const CheckpointFile&, ReadStatistics&)> open_file;
  Loader::UnitHook on_load;      ///< may be empty
  Engine::UnitHook on_execute;   ///< may be empty
  Timeline* timeline = nullptr;  ///< told what happens when; outlives the instance, may be null
};

class Instance {
 public:
  /// Collective. @param base carries everything but what the transport takes over
  /// @throws Error where the placement or transport is for another world, memory cannot be had or a
  ///         checkpoint file has changed
  Instance(const Model& model, const Placement& placement, InstanceOptions options,
           Communicator& base, Device& device, Ledger& ledger);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance();

  /// Starts streaming. Sweeps may begin at once: each unit is waited for where it is needed.
  void start_loading() { loader_->start(); }
  /// Waits until this rank's chunks are there, and gives the staging ring back.
  LoadStatistics finish_loading() { return loader_->finish(); }

  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] Communicator& comm() { return mapped_comm_ ? *mapped_comm_ : base_; }
  [[nodiscard]] const Loader& loader() const { return *loader_; }
  [[nodiscard]] const ReadStatistics& reads() const { return reads_; }
  /// This rank's shard memory, of the device.
  [[nodiscard]] std::span<std::byte> shard() const;

 private:
  void bring_up(Ledger& ledger);
  void wait_for_all_ranks();
  [[nodiscard]] std::unique_ptr<Exchange> make_exchange(Ledger& ledger);
  [[nodiscard]] std::unique_ptr<Gather> make_gather(Ledger& ledger);
  [[nodiscard]] std::vector<std::unique_ptr<RangeReader>> open_files(
      const std::vector<bool>& touched);
  [[nodiscard]] std::unique_ptr<Loader> make_loader(Ledger& ledger);

  const Model model_;
  const Placement& placement_;
  const InstanceOptions options_;
  Communicator& base_;
  Device& device_;

  // In the order of dependency: what is below uses what is above, and goes first.
  Buffer allocated_shard_;  // the shard, but for mapped memory
  std::optional<MappedMemory> mapped_;
  std::optional<MappedCommunicator> mapped_comm_;
  std::optional<MappedRows> mapped_rows_;
  Buffer row_buffers_;
  ReadStatistics reads_;
  Arrivals arrivals_;
  std::unique_ptr<Exchange> exchange_;  // where units are gathered
  std::unique_ptr<Gather> gather_;
  std::optional<ScaleExchange> scales_;  // where scales become codes
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace initrt
