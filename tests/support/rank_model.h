// One rank's model in an in-process world: what a launcher brings up, as small as tests want it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/exec/instance.h"
#include "runtime/start/open_model.h"

namespace initrt::testing {

/// Opens a checkpoint as a job does.
/// @param quantize the job's quantize.method
[[nodiscard]] OpenModel open_checkpoint_as(const std::string& path, const std::string& precision,
                                           const std::string& quantize = "none");

/// Whether tests run on GPUs: $INITRT_TEST_DEVICE is "cuda". Ranks share what there
/// is (the CUDA emulator has one, unless told otherwise), and tests are skipped where that is none.
[[nodiscard]] bool on_gpus();

/// How a test's world runs a model; the same on all ranks. On GPUs `Mapped` stands for NCCL, or for
/// the only exchange that there is where ranks share a GPU.
struct Setting {
  std::uint32_t world = 1;
  Transport transport = Transport::Self;
  std::uint32_t prefetch = 1;
  std::uint64_t staging = kMinStagingBytes;
  unsigned threads = 1;      ///< compute threads of each rank
  std::uint64_t budget = 0;  ///< memory.budget
  Move move = Move::Weights;
  std::uint64_t moved_rows = 0;  ///< at once; 0: as a run plans it
  bool on_cpu = false;           ///< though other tests run on GPUs
  std::uint64_t sequences = 1, context = 32, sweep_rows = 8, logit_rows = 8;
};

/// For test messages.
std::ostream& operator<<(std::ostream& out, const Setting& setting);

/// What ranks may exchange units over: `Mapped` and `Mpi`, or the latter alone where it stands for
/// both.
[[nodiscard]] std::vector<Transport> transports_between(std::uint32_t ranks);

/// What the setting's memory plan is.
[[nodiscard]] Placement place(const OpenModel& model, const Setting& setting);

/// A model brought up on one rank, nothing loaded yet.
class RankModel {
 public:
  /// Collective. @param model must outlive this
  RankModel(const OpenModel& model, const Setting& setting, Communicator& base,
            Loader::UnitHook on_load = {}, Engine::UnitHook on_execute = {},
            Timeline* timeline = nullptr, std::function<void()> on_connected = {});

  [[nodiscard]] Instance& instance() { return *instance_; }
  [[nodiscard]] Engine& engine() { return instance_->engine(); }
  [[nodiscard]] const Placement& placement() const { return placement_; }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }

  /// Streams everything in.
  LoadStatistics load() {
    instance_->start_loading();
    return instance_->finish_loading();
  }

  /// Bytes of this rank's shard, wherever it lies.
  [[nodiscard]] std::vector<std::byte> read_shard(std::uint64_t offset, std::uint64_t bytes);

  /// Lets go of the instance; the ledger stays.
  void leave() { instance_.reset(); }

 private:
  const std::unique_ptr<Device> device_;
  const Placement placement_;
  Ledger ledger_;
  std::unique_ptr<Instance> instance_;
};

/// Logits of every position, [tokens, vocabulary]; collective.
[[nodiscard]] std::vector<float> score_all(Engine& engine, std::span<const TokenId> tokens,
                                           std::uint32_t chunk);

/// A world of threads that each bring the model up, start loading and run `body`.
/// @param on_execute told of each unit that a rank runs; may be empty
/// @returns what each rank failed with, empty where it did not
[[nodiscard]] std::vector<std::string> run_world(
    const OpenModel& model, const Setting& setting,
    const std::function<void(std::uint32_t rank, RankModel&)>& body,
    const std::function<void(std::uint32_t rank, std::uint32_t unit)>& on_execute = {});

}  // namespace initrt::testing
