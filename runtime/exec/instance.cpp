#include "runtime/exec/instance.h"

#include <algorithm>
#include <array>
#include <exception>

#include "runtime/comm/host_exchange.h"
#include "runtime/comm/staged_exchange.h"
#include "runtime/storage/file_reader.h"
#include "sharding/checkpoint/catalog.h"
#include "sharding/error.h"
#include "sharding/read_totals.h"

namespace initrt {
namespace {

std::unique_ptr<RangeReader> open_file(const CheckpointFile& file, ReadStatistics& statistics) {
  return std::make_unique<FileReader>(file.path, file.bytes, statistics, file.stamp);
}

void check_world(Transport transport, const Cut& cut, std::uint32_t world, bool discrete_memory) {
  if (cut.world != world) {
    fail("a placement for {} ranks does not suit a world of {} ranks", cut.world, world);
  }
  if (transport == Transport::Self && world != 1) {
    fail("transport self is for one rank, but there are {} ranks", world);
  }
  if (discrete_memory ? transport == Transport::Mapped : transport == Transport::Nccl) {
    fail("transport {} is for {}", name(transport),
         discrete_memory ? "devices whose memory is the host's" : "GPUs");
  }
}

}  // namespace

std::string_view name(Transport transport) {
  switch (transport) {
    case Transport::Self:
      return "self";
    case Transport::Mapped:
      return "mapped";
    case Transport::Mpi:
      return "mpi";
    case Transport::Nccl:
      return "nccl";
  }
  return "";
}

GatherKind gather_kind(Transport transport) {
  return transport == Transport::Mpi || transport == Transport::Nccl ? GatherKind::Collective
                                                                     : GatherKind::InPlace;
}

bool goes_through_host(Transport transport, bool discrete_memory) {
  return discrete_memory && transport == Transport::Mpi;
}

Instance::Instance(const Model& model, const Placement& placement, InstanceOptions options,
                   Communicator& base, Device& device, Ledger& ledger)
    : model_(model),
      placement_(placement),
      options_(std::move(options)),
      base_(base),
      device_(device),
      arrivals_([this](std::uint32_t units) {
        if (mapped_) mapped_->publish(units);
      }) {
  try {
    bring_up(ledger);
  } catch (const std::exception& error) {
    // Others may wait in a collective that this rank will not come to, and the device in one that
    // they will not: told first, since memory that it uses could not be given back.
    base_.fail_world(options_.describe_failure ? options_.describe_failure(error) : error.what());
    if (exchange_) exchange_->abandon();
    throw;
  }
}

void Instance::bring_up(Ledger& ledger) {
  const Cut& cut = placement_.cut;
  check_world(options_.transport, cut, base_.size(), device_.is_discrete());
  if (options_.transport == Transport::Mapped) {
    mapped_.emplace(base_, cut, ledger, placement_.moves.sent_bytes());
    mapped_comm_.emplace(base_, *mapped_, options_.spin);
    mapped_rows_.emplace(base_, *mapped_, options_.spin);
  }
  // Before memory is allocated: what connecting takes of a GPU is not in the plan, but can be
  // asked.
  exchange_ = make_exchange(ledger);
  if (options_.on_connected) options_.on_connected();
  if (!mapped_) {
    const std::array<BufferPart, 2> parts{{{MemoryCategory::Shard, cut.chunks_bytes},
                                           {MemoryCategory::Resident, cut.resident_bytes}}};
    allocated_shard_ =
        exchange_ ? exchange_->allocate(device_, ledger, parts) : device_.allocate(ledger, parts);
  }
  gather_ = make_gather(ledger);
  loader_ = make_loader(ledger);
  RowLink* const link = mapped_rows_ ? static_cast<RowLink*>(&*mapped_rows_) : exchange_.get();
  engine_ = std::make_unique<Engine>(model_.graph, model_.layout, placement_, options_.shape,
                                     device_, comm(), *gather_, link, ledger, options_.on_execute,
                                     options_.timeline);
  if (!device_.is_discrete()) return;
  // What a warm-up takes for a while must not be missing where another rank of the same GPU still
  // allocates what was planned.
  wait_for_all_ranks();
  engine_->warm_up();
}

void Instance::wait_for_all_ranks() {
  const std::byte here{};
  std::vector<std::byte> all(base_.size());
  base_.all_gather(std::span(&here, 1), all);
}

// While an error unwinds, other ranks may never come: memory that a GPU's collective uses could not
// be given back.
Instance::~Instance() {
  if (exchange_ && std::uncaught_exceptions() > 0) exchange_->abandon();
}

std::span<std::byte> Instance::shard() const {
  return mapped_ ? mapped_->shard() : allocated_shard_.span();
}

std::unique_ptr<Exchange> Instance::make_exchange(Ledger& ledger) {
  if (gather_kind(options_.transport) != GatherKind::Collective) return nullptr;
  if (options_.transport == Transport::Nccl) return options_.make_nccl_exchange(base_);
  if (!device_.is_discrete()) return std::make_unique<HostExchange>(base_);
  return std::make_unique<StagedExchange>(
      base_, device_, host_slots(model_.graph, placement_.cut, placement_.slots),
      staged_row_bytes(model_.graph, model_.layout, options_.shape, placement_.moves), ledger);
}

std::unique_ptr<Gather> Instance::make_gather(Ledger& ledger) {
  const Cut& cut = placement_.cut;
  if (exchange_) {
    const std::uint64_t rows =
        options_.shape.sweep_rows * embedding_row_bytes(model_.graph, model_.layout);
    row_buffers_ = allocate(device_, ledger, MemoryCategory::Scratch,
                            row_buffer_bytes(model_.graph, model_.layout, options_.shape) - rows);
    return std::make_unique<CollectiveGather>(
        model_.graph, model_.layout, cut, base_, *exchange_, device_, arrivals_, shard(),
        placement_.slots, placement_.memory[MemoryCategory::Slots], placement_.replicated_bytes,
        ledger, row_buffers_.span(), options_.timeline);
  }
  std::vector<WholeUnit> units;
  for (std::uint32_t unit = 0; unit < model_.graph.units.size(); ++unit) {
    units.push_back(mapped_ ? mapped_->unit(unit)
                            : WholeUnit{allocated_shard_.data() + cut.units[unit].offset,
                                        cut.units[unit].chunk_bytes});
  }
  std::function<void(std::uint32_t)> wait_for = [this](std::uint32_t count) {
    arrivals_.wait(count);
  };
  if (mapped_) {
    wait_for = [this](std::uint32_t count) {
      mapped_->wait_published(count, [this] { arrivals_.check(); });
    };
  }
  return std::make_unique<InPlaceGather>(model_.graph, model_.layout, cut, device_,
                                         std::move(units), base_.rank(), std::move(wait_for));
}

std::vector<std::unique_ptr<RangeReader>> Instance::open_files(const std::vector<bool>& touched) {
  const std::vector<CheckpointFile>& files = model_.catalog.files;
  std::vector<std::unique_ptr<RangeReader>> readers(files.size());
  for (std::size_t i = 0; i < readers.size(); ++i) {
    if (!touched[i]) continue;
    readers[i] =
        options_.open_file ? options_.open_file(files[i], reads_) : open_file(files[i], reads_);
  }
  return readers;
}

std::unique_ptr<Loader> Instance::make_loader(Ledger& ledger) {
  const ReadSource source{model_.graph, model_.layout, placement_.cut, model_.bindings,
                          model_.catalog};
  const ReadTotals totals =
      ReadCounter(source, read_limits(options_.staging)).of_rank(base_.rank());
  if (model_.layout.formats().has_coded_scales()) {
    scales_.emplace(model_.graph, model_.layout, placement_.cut, base_, device_, arrivals_, shard(),
                    ledger);
  }
  return std::make_unique<Loader>(
      source, base_.rank(), options_.staging, device_, ledger, shard(), open_files(totals.files),
      totals.bytes, arrivals_, options_.on_load, scales_ ? &*scales_ : nullptr, options_.timeline);
}

}  // namespace initrt
