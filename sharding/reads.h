// What a read plan is made of. Apart from read_plan.h, so that devices and the loader, which carry
// reads out, do not see checkpoints.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sharding/dtype.h"
#include "sharding/element_map.h"
#include "sharding/row_batch.h"

namespace initrt {

/// Source elements at equal distances that become destination elements at equal distances; both
/// distances are 1 but for strided views and transposed matrices.
struct Piece {
  std::uint64_t offset = 0;  ///< bytes into the file, at a block boundary of `from`
  std::uint64_t bytes = 0;   ///< whole blocks of `from`, from the first element to the last
  std::uint32_t skip = 0;    ///< elements of the first block that lie before the piece
  DType from = DType::F32;
  DType to = DType::F32;          ///< what is written
  std::uint64_t elements = 0;     ///< elements to convert
  std::uint64_t source_step = 1;  ///< elements of the file; other than 1 for plain dtypes only
  /// Bytes into this rank's shard; or into a batch's memory, where the read is of a batch.
  std::uint64_t destination = 0;
  std::uint64_t destination_step = 1;  ///< elements
  ElementMap map = {};                 ///< of each element before it is narrowed; plain dtypes only
};

/// One contiguous read and the pieces inside it.
struct Read {
  std::uint32_t file = 0;
  std::uint64_t offset = 0, bytes = 0;
  std::uint32_t first_piece = 0, pieces = 0;
};

/// What one worker does as a whole: one read, or all of a batch.
struct ReadTask {
  std::uint32_t first_read = 0, reads = 1;
  std::optional<RowBatch> batch = {};
};

/// All reads of one unit for one rank. Tasks are in file order, and so are the reads of each.
struct UnitReads {
  std::vector<Read> reads;
  std::vector<Piece> pieces;
  std::vector<ReadTask> tasks;

  [[nodiscard]] std::uint64_t bytes() const;
};

/// The ring of staging blocks that a budget buys: each block is read, converted and given back.
struct StagingRing {
  std::uint32_t blocks = 1;
  std::uint64_t block_bytes = 0;  ///< a multiple of 4096

  [[nodiscard]] std::uint64_t bytes() const { return blocks * block_bytes; }
};

/// How much of a staging block a read may fill. A batch's memory is the second half of the block
/// that its reads go through.
struct ReadLimits {
  std::uint64_t read_bytes = 0;        ///< of a read that is a task of its own
  std::uint64_t batch_read_bytes = 0;  ///< of a batch's read
  std::uint64_t batch_bytes = 0;       ///< of a batch's memory
};

/// The least staging a job may ask for.
inline constexpr std::uint64_t kMinStagingBytes = 64u << 10;

/// Blocks of 4 MiB (large enough for a drive's full rate, small enough to stay in a shared cache
/// between read and conversion), at most 16 of them; smaller and fewer for a small budget.
[[nodiscard]] StagingRing make_staging_ring(std::uint64_t budget);

/// Reads nearer than this are joined into one: the gap costs less than another request.
inline constexpr std::uint64_t kCoalesceGapBytes = 4096;
/// Where another batch of this rank reads the gap too: no more than so many times what follows it.
/// Reading some bytes again costs less than a request for each few hundred.
inline constexpr std::uint64_t kBatchGapTimes = 4;
/// Where other ranks read it too: and no more of them than this part.
inline constexpr std::uint64_t kSharedGapPart = 1024;

}  // namespace initrt
