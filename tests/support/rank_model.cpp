#include "tests/support/rank_model.h"

#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <string_view>
#include <thread>

#include "runtime/comm/nccl/nccl.h"
#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/cuda/needs.h"
#include "runtime/exec/generate.h"
#include "runtime/storage/local_files.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt::testing {
namespace {

bool on_gpus(const Setting& setting) { return testing::on_gpus() && !setting.on_cpu; }

std::unique_ptr<Device> make_device(const Setting& setting, std::uint32_t rank) {
  if (!on_gpus(setting))
    return make_cpu_device(best_instruction_set(), setting.threads, /*spin=*/false);
  return cuda::make_device(static_cast<unsigned>(rank % cuda::visible_gpus().size()));
}

Transport transport_of(const Setting& setting) {
  if (!on_gpus(setting) || setting.transport != Transport::Mapped) return setting.transport;
  // NCCL from 2.30 on takes several ranks of one GPU, where it is told to.
  const bool one_each = cuda::visible_gpus().size() >= setting.world ||
                        std::getenv("NCCL_MULTI_RANK_GPU_ENABLE") != nullptr;
  return nccl::is_built() && one_each ? Transport::Nccl : Transport::Mpi;
}

RunShape shape_of(const OpenModel& model, const Setting& setting) {
  RunShape shape;
  shape.gather = gather_kind(transport_of(setting));
  shape.prefetch = setting.prefetch;
  shape.staging_bytes = make_staging_ring(setting.staging).bytes();
  shape.sequences = setting.sequences;
  shape.context = setting.context;
  shape.sweep_rows = setting.sweep_rows;
  shape.logit_rows = setting.logit_rows;
  shape.move = setting.move;
  shape.moved_rows = moved_rows(shape, setting.world);
  if (setting.moved_rows > 0) shape.moved_rows = std::min(shape.moved_rows, setting.moved_rows);
  const ProductSizes products{model.layout.dtype, shape.product_rows(),
                              widest_linear_input(model.graph), model.layout.formats()};
  shape.device =
      on_gpus(setting) ? cuda::needs(products) : make_device(setting, 0)->needs(products);
  shape.through_host = goes_through_host(transport_of(setting), shape.device.discrete_memory);
  shape.budget = setting.budget;
  return shape;
}

}  // namespace

bool on_gpus() {
  const char* device = std::getenv("INITRT_TEST_DEVICE");
  return device != nullptr && std::string_view(device) == "cuda";
}

OpenModel open_checkpoint_as(const std::string& path, const std::string& precision,
                             const std::string& quantize) {
  LocalFiles files;
  ModelOptions options;
  options.path = path;
  options.precision = precision;
  options.quantize.method = quantize;
  return open_model(files, options);
}

std::ostream& operator<<(std::ostream& out, const Setting& setting) {
  return out << setting.world << " ranks, " << name(setting.transport) << ", prefetch "
             << setting.prefetch << ", staging " << setting.staging << ", " << setting.threads
             << " threads, budget " << setting.budget << ", " << setting.sequences << " sequences, "
             << setting.sweep_rows << " rows, move " << name(setting.move);
}

std::vector<Transport> transports_between(std::uint32_t ranks) {
  const Setting mapped{.world = ranks, .transport = Transport::Mapped};
  if (transport_of(mapped) == Transport::Mpi) return {Transport::Mpi};
  return {Transport::Mapped, Transport::Mpi};
}

Placement place(const OpenModel& model, const Setting& setting) {
  return plan_memory(model.graph, model.layout, setting.world, shape_of(model, setting));
}

RankModel::RankModel(const OpenModel& model, const Setting& setting, Communicator& base,
                     Loader::UnitHook on_load, Engine::UnitHook on_execute, Timeline* timeline,
                     std::function<void()> on_connected)
    : device_(make_device(setting, base.rank())), placement_(place(model, setting)) {
  InstanceOptions options;
  options.transport = transport_of(setting);
  options.make_nccl_exchange = [this, timeline](Communicator& comm) {
    return nccl::make_exchange(*device_, comm, timeline != nullptr);
  };
  options.shape = shape_of(model, setting);
  options.staging = make_staging_ring(setting.staging);
  options.spin = false;
  options.on_connected = std::move(on_connected);
  options.on_load = std::move(on_load);
  options.on_execute = std::move(on_execute);
  options.timeline = timeline;
  instance_ = std::make_unique<Instance>(model.view(), placement_, std::move(options), base,
                                         *device_, ledger_);
}

std::vector<std::byte> RankModel::read_shard(std::uint64_t offset, std::uint64_t bytes) {
  Ledger ledger;
  const Buffer copy = device_->allocate_host(ledger, MemoryCategory::Pinned, bytes);
  const auto download = device_->start_download(instance_->shard().data() + offset, copy.span());
  while (!download->done()) std::this_thread::yield();
  return {copy.span().begin(), copy.span().end()};
}

std::vector<float> score_all(Engine& engine, std::span<const TokenId> tokens, std::uint32_t chunk) {
  std::vector<float> all;
  score(engine, tokens, chunk, [&](std::size_t, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  });
  return all;
}

std::vector<std::string> run_world(
    const OpenModel& model, const Setting& setting,
    const std::function<void(std::uint32_t rank, RankModel&)>& body,
    const std::function<void(std::uint32_t rank, std::uint32_t unit)>& on_execute) {
  return run_ranks(setting.world, [&](Communicator& comm) {
    Engine::UnitHook hook;
    if (on_execute) hook = [&](std::uint32_t unit) { on_execute(comm.rank(), unit); };
    RankModel rank(model, setting, comm, {}, std::move(hook));
    rank.instance().start_loading();
    body(comm.rank(), rank);
    rank.instance().finish_loading();
  });
}

}  // namespace initrt::testing
