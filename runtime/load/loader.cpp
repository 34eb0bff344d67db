#include "runtime/load/loader.h"

#include <algorithm>

#include "runtime/convert/convert.h"
#include "runtime/device/start_thread.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"
#include "sharding/read_plan.h"

namespace initrt {
namespace {

/// A read to where its pieces belong takes a system call for each, so they should be worth one.
constexpr std::uint64_t kLeastPieceBytes = 64u << 10;

/// Whether the pieces are stored as they are read, byte by byte.
bool is_stored_as_read(const UnitReads& plan, const ReadTask& task, const Read& read) {
  if (task.batch || read.bytes / kLeastPieceBytes < read.pieces) return false;
  const auto pieces = std::span(plan.pieces).subspan(read.first_piece, read.pieces);
  return std::ranges::all_of(pieces, [](const Piece& piece) {
    return piece.from == piece.to && piece.skip == 0 && piece.source_step == 1 &&
           piece.destination_step == 1 && !piece.map.changes() &&
           piece.bytes == bytes_of(piece.to, piece.elements);
  });
}

}  // namespace

ReadLimits read_limits(const StagingRing& ring) {
  const std::uint64_t half = batch_begin(ring.block_bytes);
  return {ring.block_bytes - 2 * kBlockAlignment, half - 2 * kBlockAlignment, half};
}

Loader::Loader(const ReadSource& source, std::uint32_t rank, const StagingRing& ring,
               UploaderFactory& device, Ledger& ledger, std::span<std::byte> shard,
               std::vector<std::unique_ptr<RangeReader>> files, std::uint64_t total_bytes,
               Arrivals& arrivals, UnitHook on_unit, ScaleCoder* scales, Timeline* timeline)
    : source_(source),
      rank_(rank),
      limits_(read_limits(ring)),
      files_(std::move(files)),
      uploaders_(device.make_uploaders(ledger, ring)),
      shard_(shard),
      arrivals_(arrivals),
      on_unit_(std::move(on_unit)),
      scales_(scales),
      timeline_(timeline),
      queue_(
          static_cast<std::uint32_t>(source.graph.units.size()),
          [this](std::uint32_t unit) { return plan(unit); },
          [this](std::uint32_t units) {
            scales_ != nullptr ? scales_->made(units) : note_arrival(units);
          }),
      total_bytes_(total_bytes) {
  if (!uploaders_.empty() && uploaders_.front()->stores_on_host()) touch_.emplace(shard_);
  for (const Binding& binding : source.bindings.tensors) {
    if (binding.quantized) continue;
    for (const RowRun& run : binding.runs) {
      const TensorEntry& entry = source.catalog.tensors[run.source];
      if (!can_convert(entry.dtype, source.layout.dtype)) {
        fail("{}: tensor {} is {}, which cannot be converted to {}",
             source.catalog.files[entry.parts.front().file].path, entry.name, name(entry.dtype),
             name(source.layout.dtype));
      }
    }
  }
}

Loader::~Loader() {
  stop();
  // Whoever still waits for a unit, another thread's gather for instance, must not wait for ever.
  if (is_started_ && !all_arrived_) {
    arrivals_.fail(std::make_exception_ptr(Error("loading was stopped")));
  }
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
  if (scales_ != nullptr) scales_->finish();
}

void Loader::stop() {
  stop_ = true;
  queue_.stop();
  if (scales_ != nullptr) scales_->stop();
}

UnitReads Loader::plan(std::uint32_t unit) {
  UnitReads reads = plan_reads(source_.graph, source_.layout, source_.cut, source_.bindings,
                               source_.catalog, unit, rank_, limits_);
  if (scales_ == nullptr) return reads;
  std::byte* const floats = scales_->floats(unit);
  for (ReadTask& task : reads.tasks) {
    if (task.batch) task.batch->float_scales = floats;
  }
  return reads;
}

void Loader::start() {
  is_started_ = true;
  started_ = std::chrono::steady_clock::now();
  if (scales_ != nullptr) scales_->start([this](std::uint32_t units) { note_arrival(units); });
  const auto workers = static_cast<std::uint16_t>(uploaders_.size());
  for (std::uint16_t worker = 0; worker < workers; ++worker) {
    const std::string what = fmt::format("thread {} of {} of the loader", worker + 1, workers);
    workers_.push_back(start_thread(what, [this, worker] {
      try {
        work(*uploaders_[worker], worker);
      } catch (...) {
        arrivals_.fail(std::current_exception());
        stop();
      }
      if (!uploaders_[worker]->release_waits()) uploaders_[worker].reset();
    }));
  }
}

LoadStatistics Loader::finish() {
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  if (scales_ != nullptr) scales_->finish();
  uploaders_.clear();
  arrivals_.check();
  LoadStatistics statistics;
  statistics.seconds = static_cast<double>(finished_ns_.load()) * 1e-9;
  statistics.requested_bytes = done_bytes_.load();
  statistics.written_bytes = written_bytes_.load();
  if (touch_) statistics.touch_seconds = touch_->statistics().seconds;
  touch_.reset();
  return statistics;
}

void Loader::work(Uploader& uploader, std::uint16_t worker) {
  while (!stop_) {
    const std::optional<ReadQueue::Task> task = queue_.next();
    if (!task) return;
    if (on_unit_) on_unit_(task->unit);
    if (!execute(*task, uploader, worker)) return;
    queue_.done(*task);
  }
}

bool Loader::execute(const ReadQueue::Task& task, Uploader& uploader, std::uint16_t worker) {
  const UnitReads& plan = *task.unit_reads;
  const ReadTask& what = plan.tasks[task.task];
  for (std::uint32_t i = 0; i < what.reads; ++i) {
    if (stop_) return false;
    if (i > 0 && on_unit_) on_unit_(task.unit);
    execute(task.unit, plan, what, plan.reads[what.first_read + i], uploader, worker);
  }
  return true;
}

void Loader::execute(std::uint32_t unit, const UnitReads& plan, const ReadTask& task,
                     const Read& read, Uploader& uploader, std::uint16_t worker) {
  const HostTime begin = host_time();
  RangeReader& file = *files_[read.file];
  StoredRead stored;
  Interval reading{begin, begin};
  if (touch_ && is_stored_as_read(plan, task, read) && file.reads_to(read.offset, read.bytes)) {
    stored = read_in_place(file, plan, read);
    reading.end = host_time();
  } else {
    const std::span<const std::byte> bytes = bring(file, task, read, uploader);
    reading.end = host_time();
    stored = store(plan, task, read, bytes, uploader);
  }
  written_bytes_ += stored.bytes;
  done_bytes_ += read.bytes;
  if (timeline_ == nullptr) return;
  timeline_->add({reading, read.bytes, unit, worker, Lane::Read});
  if (stored.copy) timeline_->add({*stored.copy, read.bytes, unit, worker, Lane::Copy});
  if (stored.convert) {
    timeline_->add({*stored.convert, stored.bytes, unit, worker, Lane::Convert});
  }
}

StoredRead Loader::read_in_place(RangeReader& file, const UnitReads& plan, const Read& read) {
  StoredRead stored;
  for (const Piece& piece : std::span(plan.pieces).subspan(read.first_piece, read.pieces)) {
    std::byte* const to = shard_.data() + piece.destination;
    touch_->touch(to, piece.bytes);
    file.read_to(piece.offset, piece.bytes, to);
    stored.bytes += piece.bytes;
  }
  return stored;
}

// What the read's pieces become; of a batch, all its rows, which are made after its last read.
void Loader::touch(const UnitReads& plan, const ReadTask& task, const Read& read) {
  if (!task.batch) {
    for (const Piece& piece : std::span(plan.pieces).subspan(read.first_piece, read.pieces)) {
      const std::uint64_t span = (piece.elements - 1) * piece.destination_step + 1;
      touch_->touch(shard_.data() + piece.destination, bytes_of(piece.to, span));
    }
    return;
  }
  const RowBatch& batch = *task.batch;
  for (std::uint32_t lane = 0; lane < batch.lanes; ++lane) {
    const HeldRows codes = held_codes(batch, lane);
    touch_->touch(shard_.data() + codes.first, codes.span(batch.rows));
  }
}

StoredRead Loader::store(const UnitReads& plan, const ReadTask& task, const Read& read,
                         std::span<const std::byte> bytes, Uploader& uploader) {
  if (touch_) touch(plan, task, read);
  if (!task.batch) return uploader.store(plan, task, read, bytes, shard_.data());
  try {
    return uploader.store(plan, task, read, bytes, shard_.data());
  } catch (const Error& error) {
    const std::uint32_t tensor = task.batch->tensor;
    const std::uint32_t stored = source_.bindings.tensors[tensor].runs.front().source;
    fail("{}: {}: {}",
         source_.catalog.files[source_.catalog.tensors[stored].parts.front().file].path,
         quote(source_.graph.tensors[tensor].name), error.what());
  }
}

// By the device itself where it can, else into the uploader's block.
std::span<const std::byte> Loader::bring(RangeReader& file, const ReadTask& task, const Read& read,
                                         Uploader& uploader) {
  const std::span<std::byte> block = uploader.block();
  if (task.batch) {  // whose rows the host makes
    return file.read(read.offset, read.bytes, block.first(batch_begin(block.size())));
  }
  const int direct = uploader.fetches() ? file.direct_file(read.offset, read.bytes) : -1;
  if (direct >= 0) {
    const Fetched fetched = uploader.fetch(direct, read.offset, read.bytes);
    file.count_direct(fetched.bytes.size(), fetched.device_bytes, fetched.host_bytes);
    if (!fetched.bytes.empty()) return fetched.bytes;
  }
  return file.read(read.offset, read.bytes, block);
}

void Loader::note_arrival(std::uint32_t units) {
  if (units == source_.graph.units.size()) {
    finished_ns_ = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::steady_clock::now() - started_)
                       .count();
    all_arrived_ = true;
  }
  arrivals_.advance(units);
}

}  // namespace initrt
