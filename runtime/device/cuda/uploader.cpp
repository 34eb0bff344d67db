#include "runtime/device/cuda/uploader.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "runtime/convert/batch.h"
#include "runtime/device/cuda/cufile.h"
#include "runtime/device/cuda/event_times.h"
#include "runtime/device/cuda/handles.h"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/needs.h"
#include "sharding/error.h"

namespace initrt::cuda {
namespace {

/// What all uploaders of a ring are given parts of.
struct RingMemory {
  Buffer staging, raw, tables;
  std::unique_ptr<CuFile> direct;  ///< reads into `raw`; null where the machine cannot
};

/// The most pieces that are worth a copy each instead of one and a kernel.
constexpr std::size_t kMaxCopies = 8;

/// What direct reads count in: blocks of drives, and pages of memory.
constexpr std::uint64_t kDirectUnit = 4096;

/// The most bytes of a file that are compared with what an ordinary read gives.
constexpr std::uint64_t kMaxCompared = 64 << 10;

std::uint64_t round_down(std::uint64_t bytes) { return bytes / kDirectUnit * kDirectUnit; }

class CudaUploader final : public Uploader {
 public:
  /// @param part, parts which part of the memory is this one's, of how many
  CudaUploader(int gpu, std::shared_ptr<const RingMemory> memory, std::uint32_t part,
               std::uint32_t parts)
      : gpu_(gpu),
        memory_(std::move(memory)),
        block_(part_of(memory_->staging, part, parts)),
        raw_(part_of(memory_->raw, part, parts)),
        table_(part_of(memory_->tables, part, parts)),
        stream_(make_stream()),
        begun_(make_timed_event()),
        copied_(make_timed_event()),
        done_(make_timed_event(/*blocking=*/true)) {}

  std::span<std::byte> block() const override { return block_; }

  bool fetches() const override { return memory_->direct != nullptr; }

  // cudaFree() does.
  bool release_waits() const override { return true; }

  Fetched fetch(int descriptor, std::uint64_t offset, std::uint64_t bytes) override {
    check(cudaSetDevice(gpu_), "choosing the GPU");
    CuFile& direct = *memory_->direct;
    const CuFile::Use use = direct.use_of(descriptor);
    if (use == CuFile::Use::No) return {};
    const std::uint64_t begin = round_down(offset);
    const std::uint64_t end = round_down(offset + bytes + kDirectUnit - 1);
    Fetched fetched;
    fetched.device_bytes =
        direct.read(descriptor, begin, end - begin,
                    static_cast<std::uint64_t>(raw_.data() - memory_->raw.data()));
    bool works = fetched.device_bytes >= offset + bytes - begin;
    if (works && use == CuFile::Use::Test) {
      works = compare(descriptor, begin, fetched.device_bytes, fetched.host_bytes);
      direct.settle(descriptor, works);
    } else if (!works) {
      direct.settle(descriptor, false);
    }
    if (works) fetched.bytes = raw_.subspan(offset - begin, bytes);
    return fetched;
  }

  StoredRead store(const UnitReads& plan, const ReadTask& task, const Read& read,
                   std::span<const std::byte> bytes, std::byte* to) override {
    check(cudaSetDevice(gpu_), "choosing the GPU");
    renew(clock_, stream_.get());
    if (task.batch) return store_batch(plan, task, read, bytes, to);
    const auto pieces = std::span(plan.pieces).subspan(read.first_piece, read.pieces);
    std::uint64_t written = 0;
    for (const Piece& piece : pieces) written += bytes_of(piece.to, piece.elements);
    const bool copies = std::ranges::all_of(pieces, is_copied);
    const bool fetched = bytes.data() >= raw_.data() && bytes.data() < raw_.data() + raw_.size();
    StoredRead stored{written, std::nullopt, std::nullopt};
    record(begun_);
    if (copies && pieces.size() <= kMaxCopies) {
      for (const Piece& piece : pieces) {
        copy(bytes.subspan(piece.offset - read.offset, piece.bytes), to + piece.destination);
      }
      wait();
      stored.copy = clock_->between(begun_.get(), done_.get());
    } else {
      if (!fetched) copy(bytes, raw_.data());
      record(copied_);
      const std::byte* const there = fetched ? bytes.data() : raw_.data();
      place(pieces, there, read.offset, to);
      if (!copies) convert(pieces, there, read.offset, to);
      if (!fetched) stored.copy = clock_->between(begun_.get(), copied_.get());
      stored.convert = clock_->between(copied_.get(), done_.get());
    }
    return stored;
  }

 private:
  /// The host makes a batch's rows, some after the others, and copies them from where the reads
  /// were: what is quantized is so before it travels.
  StoredRead store_batch(const UnitReads& plan, const ReadTask& task, const Read& read,
                         std::span<const std::byte> bytes, std::byte* to) {
    const HostTime begin = host_time();
    const std::uint64_t reads = batch_begin(block_.size());
    bool copied = false;
    const auto copy_rows = [&](const MadeRows& rows) {
      if (!copied) record(begun_);
      copied = true;
      copy_apart(rows, to + rows.to);
      wait();  // before the next rows take their place
    };
    StoredRead stored{convert_batch_read(plan, task, read, bytes, block_.subspan(reads),
                                         block_.first(reads), copy_rows),
                      std::nullopt, std::nullopt};
    stored.convert = Interval{begin, host_time()};
    if (copied) stored.copy = clock_->between(begun_.get(), done_.get());
    return stored;
  }

  static std::span<std::byte> part_of(const Buffer& buffer, std::uint32_t part,
                                      std::uint32_t parts) {
    constexpr std::size_t kAlignment = 256;
    const std::size_t bytes = buffer.bytes() / parts / kAlignment * kAlignment;
    return buffer.span().subspan(part * bytes, bytes);
  }

  /// From where it is, the host's memory or the GPU's.
  void copy(std::span<const std::byte> from, std::byte* to) {
    check(cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyDefault, stream_.get()),
          "copying what was read");
  }

  /// To where one row is at a distance from another.
  void copy_apart(const MadeRows& rows, std::byte* to) {
    if (rows.stride == rows.row_bytes) return copy(rows.bytes, to);
    check(cudaMemcpy2DAsync(to, rows.stride, rows.bytes.data(), rows.row_bytes, rows.row_bytes,
                            rows.bytes.size() / rows.row_bytes, cudaMemcpyDefault, stream_.get()),
          "copying rows");
  }

  void record(const Event& event) {
    check(cudaEventRecord(event.get(), stream_.get()), "recording an event");
  }

  void wait() {
    record(done_);
    check(cudaEventSynchronize(done_.get()), "storing what was read");
  }

  /// Whether raw_ begins with what the host reads from `begin` on, as far as the two fit block_.
  bool compare(int descriptor, std::uint64_t begin, std::uint64_t read_bytes,
               std::uint64_t& host_bytes) {
    const std::uint64_t most = std::min(round_down(block_.size() / 2), kMaxCompared);
    const std::uint64_t bytes = std::min(read_bytes, most);
    const std::span<std::byte> copied = block_.subspan(most, bytes);
    const ssize_t got = ::pread(descriptor, block_.data(), most, static_cast<off_t>(begin));
    host_bytes = got > 0 ? static_cast<std::uint64_t>(got) : 0;
    if (host_bytes < bytes) return false;
    copy(raw_.first(bytes), copied.data());
    wait();
    return std::memcmp(block_.data(), copied.data(), bytes) == 0;
  }

  /// Whether a piece is stored as it is held.
  static bool is_copied(const Piece& piece) {
    return piece.from == piece.to && piece.source_step == 1 && piece.destination_step == 1 &&
           piece.skip == 0 && !piece.map.changes();
  }

  /// Copies those pieces of a read that is in the GPU's memory which are stored as they are held.
  void place(std::span<const Piece> pieces, const std::byte* read, std::uint64_t read_offset,
             std::byte* to) {
    copies_.clear();
    for (const Piece& piece : pieces) {
      if (!is_copied(piece)) continue;
      copies_.push_back({read + (piece.offset - read_offset), to + piece.destination, piece.bytes});
    }
    if (copies_.empty()) return;
    cuda::copy(stream_.get(), copies_);
    wait();  // before the read's memory is written anew
  }

  /// Converts its other pieces, as many at once as the table describes. The GPU reads the table
  /// where it is: each of its lines once for some thousand elements.
  void convert(std::span<const Piece> pieces, const std::byte* read, std::uint64_t read_offset,
               std::byte* to) {
    const std::size_t most = table_.size() / sizeof(ConvertPiece);
    auto* const table = reinterpret_cast<ConvertPiece*>(table_.data());
    while (!pieces.empty()) {
      std::size_t count = 0, seen = 0;
      std::uint64_t longest = 0;
      DType from{}, dtype{};
      for (; seen < pieces.size() && count < most; ++seen) {
        const Piece& piece = pieces[seen];
        if (is_copied(piece)) continue;
        if (count > 0 && (piece.from != from || piece.to != dtype)) break;
        from = piece.from;
        dtype = piece.to;
        table[count++] = {.from = read + (piece.offset - read_offset),
                          .to = to + piece.destination,
                          .elements = piece.elements,
                          .source_step = piece.source_step,
                          .destination_step = piece.destination_step,
                          .skip = piece.skip,
                          .map = piece.map};
        longest = std::max(longest, piece.elements);
      }
      cuda::convert(stream_.get(), from, dtype, table, count, longest);
      wait();  // before the table is written anew
      pieces = pieces.subspan(seen);
    }
  }

  const int gpu_;
  const std::shared_ptr<const RingMemory> memory_;
  const std::span<std::byte> block_;  // pinned
  const std::span<std::byte> raw_;    // the GPU's copy of it
  const std::span<std::byte> table_;  // pinned
  std::vector<CopyPiece> copies_;     // of one read
  const Stream stream_;
  ClockBaseHandle clock_;
  const Event begun_, copied_, done_;
};

}  // namespace

std::vector<std::unique_ptr<Uploader>> make_cuda_uploaders(int gpu, Ledger& ledger,
                                                           const StagingRing& ring, bool direct) {
  const auto part = [](MemoryCategory category, std::uint64_t bytes) {
    return std::array<BufferPart, 1>{{{category, bytes}}};
  };
  auto memory = std::make_shared<RingMemory>();
  memory->staging = allocate_pinned_memory(ledger, part(MemoryCategory::Staging, ring.bytes()));
  memory->raw = allocate_device_memory(ledger, part(MemoryCategory::Conversion, ring.bytes()));
  memory->tables = allocate_pinned_memory(ledger, part(MemoryCategory::Pinned, kUploadTableBytes));
  if (direct) memory->direct = CuFile::open(memory->raw.span());
  std::vector<std::unique_ptr<Uploader>> uploaders;
  for (std::uint32_t i = 0; i < ring.blocks; ++i) {
    uploaders.push_back(std::make_unique<CudaUploader>(gpu, memory, i, ring.blocks));
  }
  return uploaders;
}

}  // namespace initrt::cuda
