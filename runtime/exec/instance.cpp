#include "runtime/exec/instance.h"

#include <algorithm>

#include "runtime/storage/file_reader.h"
#include "sharding/error.h"

namespace initrt {
namespace {

std::vector<std::unique_ptr<RangeReader>> open_readers(const Catalog& catalog,
                                                       const std::vector<bool>& touched,
                                                       ReadStatistics& statistics) {
  std::vector<std::unique_ptr<RangeReader>> readers(catalog.files.size());
  for (std::size_t file = 0; file < readers.size(); ++file) {
    if (!touched[file]) continue;
    readers[file] = std::make_unique<FileReader>(catalog.files[file].path,
                                                 catalog.files[file].bytes, statistics);
  }
  return readers;
}

void check_world(Transport transport, const Cut& cut, std::uint32_t world) {
  if (cut.world != world) {
    fail("a placement for {} ranks does not suit a world of {} ranks", cut.world, world);
  }
  if (transport == Transport::Self && world != 1) {
    fail("transport self is for one rank, but there are {} ranks", world);
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
  }
  return "";
}

GatherKind gather_kind(Transport transport) {
  return transport == Transport::Mpi ? GatherKind::Collective : GatherKind::InPlace;
}

Instance::Instance(const Model& model, const Placement& placement, InstanceOptions options,
                   Communicator& base, Device& device, Ledger& ledger)
    : model_(model),
      placement_(placement),
      options_(std::move(options)),
      base_(base),
      arrivals_([this](std::uint32_t units) {
        if (mapped_) mapped_->publish(units);
      }) {
  const Cut& cut = placement_.cut;
  check_world(options_.transport, cut, base_.size());
  if (options_.transport == Transport::Mapped) {
    mapped_.emplace(base_, cut, ledger);
    mapped_comm_.emplace(base_, *mapped_, options_.spin);
  } else {
    own_memory_ = HostBuffer(ledger, {{MemoryCategory::Shard, cut.chunks_bytes},
                                      {MemoryCategory::Resident, cut.resident_bytes}});
  }
  gather_ = make_gather(ledger);
  loader_ = make_loader(ledger);
  engine_ = std::make_unique<Engine>(model_.graph, model_.layout, options_.shape, device, comm(),
                                     *gather_, ledger, options_.on_execute);
}

std::span<std::byte> Instance::shard() const {
  return mapped_ ? mapped_->shard() : own_memory_.span();
}

std::unique_ptr<Gather> Instance::make_gather(Ledger& ledger) {
  const Cut& cut = placement_.cut;
  if (options_.transport == Transport::Mpi) {
    const std::uint64_t rows =
        options_.shape.sweep_rows * embedding_row_bytes(model_.graph, model_.layout);
    row_buffers_ = HostBuffer(ledger, MemoryCategory::Scratch,
                              row_buffer_bytes(model_.graph, model_.layout, options_.shape) - rows);
    return std::make_unique<CollectiveGather>(
        model_.graph, model_.layout, cut, base_, arrivals_, shard(), placement_.slots,
        placement_.memory[MemoryCategory::Slots], ledger, row_buffers_.span());
  }
  std::vector<const std::byte*> units;
  for (std::uint32_t unit = 0; unit < model_.graph.units.size(); ++unit) {
    units.push_back(mapped_ ? mapped_->unit(unit) : own_memory_.data() + cut.units[unit].offset);
  }
  std::function<void(std::uint32_t)> wait_for = [this](std::uint32_t count) {
    arrivals_.wait(count);
  };
  if (mapped_) {
    wait_for = [this](std::uint32_t count) {
      mapped_->wait_published(count, [this] { arrivals_.check(); });
    };
  }
  return std::make_unique<InPlaceGather>(model_.graph, model_.layout, std::move(units),
                                         std::move(wait_for));
}

std::unique_ptr<Loader> Instance::make_loader(Ledger& ledger) {
  const LoadSource source{model_.graph, model_.layout, placement_.cut, model_.bindings,
                          model_.catalog};
  const ReadTotals totals = count_reads(source, base_.rank(), max_read_bytes(options_.staging));
  return std::make_unique<Loader>(source, base_.rank(), options_.staging, ledger, shard(),
                                  open_readers(model_.catalog, totals.files, reads_), totals.bytes,
                                  arrivals_, options_.on_load);
}

}  // namespace initrt
