#include "tests/support/rank_model.h"

#include <ostream>

#include "runtime/device/cpu/cpu_device.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt::testing {
namespace {

std::unique_ptr<Device> make_device(const Setting& setting) {
  return make_cpu_device(best_instruction_set(), setting.threads, /*spin=*/false);
}

RunShape shape_of(const OpenModel& model, const Setting& setting) {
  RunShape shape;
  shape.gather = gather_kind(setting.transport);
  shape.prefetch = setting.prefetch;
  shape.staging_bytes = make_staging_ring(setting.staging).bytes();
  shape.sequences = setting.sequences;
  shape.context = setting.context;
  shape.sweep_rows = setting.sweep_rows;
  shape.logit_rows = setting.logit_rows;
  const auto device = make_device(setting);
  shape.through_host = goes_through_host(setting.transport, device->own_memory());
  shape.device =
      device->needs(model.layout.dtype, setting.sweep_rows, widest_linear_input(model.graph));
  shape.budget = setting.budget;
  return shape;
}

}  // namespace

OpenModel open_checkpoint_as(const std::string& path, const std::string& precision) {
  LocalFiles files;
  Job job;
  job.model = path;
  job.precision = precision;
  return open_model(files, job, /*all_names=*/false);
}

std::ostream& operator<<(std::ostream& out, const Setting& setting) {
  return out << setting.world << " ranks, " << name(setting.transport) << ", prefetch "
             << setting.prefetch << ", staging " << setting.staging << ", " << setting.threads
             << " threads, budget " << setting.budget << ", " << setting.sequences << " sequences, "
             << setting.sweep_rows << " rows";
}

Placement place(const OpenModel& model, const Setting& setting) {
  return plan_memory(model.graph, model.layout, setting.world, shape_of(model, setting));
}

RankModel::RankModel(const OpenModel& model, const Setting& setting, Communicator& base,
                     Loader::UnitHook on_load, Engine::UnitHook on_execute)
    : device_(make_device(setting)), placement_(place(model, setting)) {
  InstanceOptions options;
  options.transport = setting.transport;
  options.shape = shape_of(model, setting);
  options.staging = make_staging_ring(setting.staging);
  options.spin = false;
  options.on_load = std::move(on_load);
  options.on_execute = std::move(on_execute);
  instance_ = std::make_unique<Instance>(model.view(), placement_, std::move(options), base,
                                         *device_, ledger_);
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
