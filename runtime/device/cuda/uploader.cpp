#include "runtime/device/cuda/uploader.h"

#include <algorithm>
#include <array>

#include "runtime/device/cuda/handles.h"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/needs.h"
#include "sharding/error.h"

namespace initrt::cuda {
namespace {

/// What all uploaders of a ring are given parts of.
struct RingMemory {
  Buffer staging, raw, tables;
};

/// The most pieces that are worth a copy each instead of one and a kernel.
constexpr std::size_t kMostCopies = 8;

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
        done_(make_event(/*blocking=*/true)) {}

  std::span<std::byte> block() const override { return block_; }

  std::uint64_t store(const UnitReads& plan, const Read& read, std::span<const std::byte> bytes,
                      std::byte* to, DType dtype) override {
    check(cudaSetDevice(gpu_), "choosing the GPU");
    const auto pieces = std::span(plan.pieces).subspan(read.first_piece, read.pieces);
    std::uint64_t elements = 0;
    for (const Piece& piece : pieces) elements += piece.elements;
    const bool copies = std::ranges::all_of(pieces, [&](const Piece& piece) {
      return piece.from == dtype && piece.source_step == 1 && piece.destination_step == 1 &&
             piece.add == 0;
    });
    if (copies && pieces.size() <= kMostCopies) {
      for (const Piece& piece : pieces) {
        copy(bytes.subspan(piece.offset - read.offset, piece.bytes), to + piece.destination);
      }
      wait();
    } else {
      copy(bytes, raw_.data());
      convert(pieces, read.offset, to, dtype);
    }
    return bytes_of(dtype, elements);
  }

 private:
  static std::span<std::byte> part_of(const Buffer& buffer, std::uint32_t part,
                                      std::uint32_t parts) {
    constexpr std::size_t kAlignment = 256;
    const std::size_t bytes = buffer.bytes() / parts / kAlignment * kAlignment;
    return buffer.span().subspan(part * bytes, bytes);
  }

  void copy(std::span<const std::byte> from, std::byte* to) {
    check(cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stream_.get()),
          "copying what was read");
  }

  void wait() {
    check(cudaEventRecord(done_.get(), stream_.get()), "recording an event");
    check(cudaEventSynchronize(done_.get()), "storing what was read");
  }

  /// Converts the pieces of what is in raw_, as many at once as the table describes. The GPU reads
  /// the table where it is: each of its lines once for some thousand elements.
  void convert(std::span<const Piece> pieces, std::uint64_t read_offset, std::byte* to,
               DType dtype) {
    const std::size_t most = table_.size() / sizeof(ConvertPiece);
    auto* const table = reinterpret_cast<ConvertPiece*>(table_.data());
    while (!pieces.empty()) {
      std::size_t count = 0;
      std::uint64_t longest = 0;
      const DType from = pieces.front().from;
      while (count < std::min(most, pieces.size()) && pieces[count].from == from) {
        const Piece& piece = pieces[count];
        table[count++] = {.from = raw_.data() + (piece.offset - read_offset),
                          .to = to + piece.destination,
                          .elements = piece.elements,
                          .source_step = piece.source_step,
                          .destination_step = piece.destination_step,
                          .skip = piece.skip,
                          .add = piece.add};
        longest = std::max(longest, piece.elements);
      }
      cuda::convert(stream_.get(), from, dtype, table, count, longest);
      wait();  // before the table is written anew
      pieces = pieces.subspan(count);
    }
  }

  const int gpu_;
  const std::shared_ptr<const RingMemory> memory_;
  const std::span<std::byte> block_;  // pinned
  const std::span<std::byte> raw_;    // the GPU's copy of it
  const std::span<std::byte> table_;  // pinned
  const Stream stream_;
  const Event done_;
};

}  // namespace

std::vector<std::unique_ptr<Uploader>> make_cuda_uploaders(int gpu, Ledger& ledger,
                                                           const StagingRing& ring) {
  const auto part = [](MemoryCategory category, std::uint64_t bytes) {
    return std::array<BufferPart, 1>{{{category, bytes}}};
  };
  auto memory = std::make_shared<RingMemory>();
  memory->staging = allocate_pinned_memory(ledger, part(MemoryCategory::Staging, ring.bytes()));
  memory->raw = allocate_device_memory(ledger, part(MemoryCategory::Conversion, ring.bytes()));
  memory->tables = allocate_pinned_memory(ledger, part(MemoryCategory::Pinned, kUploadTableBytes));
  std::vector<std::unique_ptr<Uploader>> uploaders;
  for (std::uint32_t i = 0; i < ring.blocks; ++i) {
    uploaders.push_back(std::make_unique<CudaUploader>(gpu, memory, i, ring.blocks));
  }
  return uploaders;
}

}  // namespace initrt::cuda
