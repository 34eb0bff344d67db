// A read plan is right if carrying it out on every rank gives the whole units, if no byte is read
// twice but where a block of a vector is cut, and if each read fits a staging block.
#include "sharding/read_plan.h"
#include "sharding/read_totals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "runtime/convert/convert.h"
#include "tests/sharding/canonical.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/random_model.h"
#include "tests/sharding/stored_elements.h"
#include "tests/support/cases.h"

namespace initrt {
namespace {

using testing::between;
using testing::canonical_unit;
using testing::error_of;
using testing::random_model;
using testing::RandomModel;
using testing::Rng;

using testing::Bytes;
using testing::stored_elements;

/// A whole tensor, converted at once and its rows in canonical order.
Bytes canonical_tensor(const RandomModel& model, const Tensor& tensor, bool gguf, DType to) {
  const std::string name =
      gguf ? locate_gguf(tensor, model.graph, StoredNames(model.catalog)).name : tensor.name;
  const TensorEntry& entry =
      model.catalog.tensors.at(static_cast<std::size_t>(model.catalog.find(name)));
  const std::uint64_t row_bytes = bytes_of(to, tensor.columns);
  Bytes stored(tensor.rows * row_bytes);
  convert(stored_elements(model, entry), entry.dtype, 0, tensor.elements(), stored.data(), to);
  if (!gguf || tensor.rotary_heads == 0) return stored;
  Bytes split(stored.size());
  const std::uint64_t head_rows = tensor.rows / tensor.rotary_heads;
  for (std::uint64_t row = 0; row < tensor.rows; ++row) {
    // Row 2i of a stored head is row i of its first half, row 2i + 1 is row i of its second.
    const std::uint64_t head = row / head_rows, in_head = row % head_rows;
    const std::uint64_t place = head * head_rows + in_head % 2 * (head_rows / 2) + in_head / 2;
    std::memcpy(split.data() + place * row_bytes, stored.data() + row * row_bytes, row_bytes);
  }
  return split;
}

Bytes whole_unit(const RandomModel& model, const Layout& layout, std::uint32_t unit, bool gguf) {
  Bytes bytes(layout.units[unit].bytes);
  for (std::size_t i = 0; i < model.graph.units[unit].params.size(); ++i) {
    const Param& param = model.graph.units[unit].params[i];
    const Tensor& tensor = model.graph.tensor_of(param);
    const Bytes whole = canonical_tensor(model, tensor, gguf, layout.dtype);
    const ParamPlace& place = layout.units[unit].params[i];
    std::memcpy(bytes.data() + place.offset,
                whole.data() + param.row_begin * tensor.columns * info(layout.dtype).block_bytes,
                place.bytes());
  }
  return bytes;
}

/// One case: a model, a precision and a cut.
struct Case {
  RandomModel model;
  bool gguf = false;
  Bindings bindings;
  Layout layout;
  Cut cut;
  std::uint64_t max_read_bytes = 0;

  [[nodiscard]] UnitReads plan(std::uint32_t unit, std::uint32_t rank) const {
    return plan_reads(model.graph, layout, cut, bindings, model.catalog, unit, rank,
                      {max_read_bytes, max_read_bytes, max_read_bytes});
  }
};

Case random_case(Rng& rng, const std::vector<DType>& dtypes, bool gguf, bool views = false) {
  constexpr std::uint32_t kWorlds[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 61};
  constexpr const char* kPrecisions[] = {"32-true", "bf16-true", "16-true"};
  constexpr std::uint64_t kMaxReads[] = {300, 1000, 4096, 24'576, 1 << 20};
  Case c;
  c.model = (views ? testing::random_views : random_model)(rng, dtypes, gguf);
  c.gguf = gguf;
  c.bindings = bind(c.model.graph, c.model.catalog, false);
  c.layout = make_layout(c.model.graph, *precision_from_name(kPrecisions[rng() % 3]));
  std::vector<bool> resident(c.model.graph.units.size());
  for (std::size_t i = 0; i < resident.size(); ++i) resident[i] = between(rng, 0, 3) == 0;
  c.cut = make_cut(c.layout, kWorlds[rng() % 11], resident);
  c.max_read_bytes = kMaxReads[rng() % 5];
  return c;
}

/// Reads as a loader would into `chunk`, this rank's part of the shard, which begins there at
/// `own`. `written` counts what is written to each of its bytes.
void execute(const Case& c, const UnitReads& plan, std::uint64_t own, std::span<std::byte> chunk,
             std::vector<int>& written) {
  for (const Read& read : plan.reads) {
    ASSERT_LE(read.offset + read.bytes, c.model.files[read.file].size());
    const Bytes staging = [&] {
      const auto source = std::span(c.model.files[read.file]).subspan(read.offset, read.bytes);
      return Bytes(source.begin(), source.end());
    }();
    for (const Piece& piece : std::span(plan.pieces).subspan(read.first_piece, read.pieces)) {
      ASSERT_GE(piece.offset, read.offset);
      ASSERT_LE(piece.offset + piece.bytes, read.offset + read.bytes);
      const DType to = piece.to;
      const std::uint64_t element_bytes = info(to).block_bytes;
      ASSERT_GE(piece.destination, own);
      const std::uint64_t last = bytes_of(to, (piece.elements - 1) * piece.destination_step);
      ASSERT_LE(piece.destination - own + last + element_bytes, chunk.size());
      UnitReads alone{{read}, {piece}, {}};
      alone.reads[0].first_piece = 0;
      alone.reads[0].pieces = 1;
      alone.pieces[0].destination -= own;
      EXPECT_EQ(convert_read(alone, alone.reads[0], staging, chunk.data()),
                bytes_of(to, piece.elements));
      for (std::uint64_t i = 0; i < piece.elements; ++i) {
        const std::uint64_t at =
            piece.destination - own + i * piece.destination_step * element_bytes;
        for (std::uint64_t byte = 0; byte < element_bytes; ++byte) ++written[at + byte];
      }
    }
  }
}

void expect_whole_units(const Case& c) {
  for (std::uint32_t unit = 0; unit < c.model.graph.units.size(); ++unit) {
    const std::uint64_t chunk = c.cut.units[unit].chunk_bytes;
    Bytes gathered(c.cut.gathered_bytes(unit));
    std::uint64_t covered = 0;
    for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
      std::vector<int> written(chunk, 0);
      ASSERT_NO_FATAL_FAILURE(execute(c, c.plan(unit, rank), c.cut.chunk_offset(unit, rank),
                                      std::span(gathered).subspan(rank * chunk, chunk), written));
      const auto once = std::count(written.begin(), written.end(), 1);
      const auto never = std::count(written.begin(), written.end(), 0);
      ASSERT_EQ(once + never, static_cast<std::ptrdiff_t>(chunk));
      covered += static_cast<std::uint64_t>(once);
    }
    std::uint64_t param_bytes = 0;
    for (const ParamPlace& place : c.layout.units[unit].params) param_bytes += place.bytes();
    ASSERT_EQ(covered, param_bytes);
    ASSERT_EQ(canonical_unit(c.layout, c.cut, unit, gathered),
              whole_unit(c.model, c.layout, unit, c.gguf))
        << "unit " << unit << " of world " << c.cut.world;
  }
}

/// What the pieces of all ranks must add up to: the tensors, and each block of a vector that ranks
/// share once more. Rows are whole blocks.
std::uint64_t needed_bytes(const Case& c, std::uint32_t unit) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < c.model.graph.units[unit].params.size(); ++i) {
    const Param& param = c.model.graph.units[unit].params[i];
    const Tensor& tensor = c.model.graph.tensor_of(param);
    const std::uint32_t source = c.bindings.tensors[param.tensor].runs.front().source;
    const DType from = c.model.catalog.tensors[source].dtype;
    sum += bytes_of(from, param.rows * tensor.columns);
    for (std::uint32_t rank = 1; rank < c.cut.world; ++rank) {
      const auto [first, count] = c.cut.rows_of(unit, i, param.rows, rank);
      const std::uint64_t element = (param.row_begin + first) * tensor.columns;
      if (count > 0 && element % info(from).block_elements != 0) sum += info(from).block_bytes;
    }
  }
  return sum;
}

void expect_reads_once(const Case& c) {
  for (std::uint32_t unit = 0; unit < c.model.graph.units.size(); ++unit) {
    std::uint64_t piece_bytes = 0;
    for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
      for (const Piece& piece : c.plan(unit, rank).pieces) piece_bytes += piece.bytes;
    }
    EXPECT_EQ(piece_bytes, needed_bytes(c, unit));
  }
}

/// Reads are in file order, apart from each other, whole pieces with small gaps, and small enough.
void expect_tidy_reads(const Case& c, const UnitReads& plan) {
  std::uint64_t total = 0;
  std::uint32_t next_piece = 0;
  for (std::size_t i = 0; i < plan.reads.size(); ++i) {
    const Read& read = plan.reads[i];
    EXPECT_LE(read.bytes, c.max_read_bytes);
    EXPECT_LE(read.offset + read.bytes, c.model.catalog.files[read.file].bytes);
    ASSERT_EQ(read.first_piece, next_piece);
    ASSERT_GT(read.pieces, 0u);
    next_piece += read.pieces;
    std::uint64_t end = read.offset;
    for (const Piece& piece : std::span(plan.pieces).subspan(read.first_piece, read.pieces)) {
      EXPECT_GE(piece.offset, end);
      EXPECT_LE(piece.offset, end + (end == read.offset ? 0 : kCoalesceGapBytes));
      EXPECT_EQ(piece.bytes % info(piece.from).block_bytes, 0u);
      end = piece.offset + piece.bytes;
    }
    EXPECT_EQ(end, read.offset + read.bytes);
    total += read.bytes;
    if (i == 0 || plan.reads[i - 1].file < read.file) continue;
    const Read& last = plan.reads[i - 1];
    ASSERT_EQ(last.file, read.file);
    EXPECT_LE(last.offset + last.bytes, read.offset);
    // Neighbours were left apart for a reason.
    const Piece& first = plan.pieces[read.first_piece];
    const std::uint64_t gap = c.cut.world == 1
                                  ? kCoalesceGapBytes
                                  : std::min(kCoalesceGapBytes, first.bytes / kSharedGapPart);
    EXPECT_TRUE(read.offset > last.offset + last.bytes + gap ||
                first.bytes + read.offset - last.offset > c.max_read_bytes);
  }
  EXPECT_EQ(next_piece, plan.pieces.size());
  EXPECT_EQ(plan.bytes(), total);
}

void check(const Case& c) {
  ASSERT_NO_FATAL_FAILURE(expect_whole_units(c));
  expect_reads_once(c);
  for (std::uint32_t unit = 0; unit < c.model.graph.units.size(); ++unit) {
    for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
      ASSERT_NO_FATAL_FAILURE(expect_tidy_reads(c, c.plan(unit, rank)));
    }
  }
}

TEST(ReadPlan, AllRanksTogetherRebuildPlainTensors) {
  Rng rng(1);
  for (int round = 0; round < testing::cases(300); ++round) {
    check(random_case(rng, {DType::F32, DType::BF16, DType::F16, DType::F8_E4M3}, false));
    if (HasFatalFailure()) return;
  }
}

TEST(ReadPlan, AllRanksTogetherRebuildQuantizedTensors) {
  Rng rng(2);
  for (int round = 0; round < testing::cases(300); ++round) {
    check(random_case(rng, {DType::Q4_1, DType::Q8_0, DType::Q5_0, DType::BF16}, false));
    if (HasFatalFailure()) return;
  }
}

TEST(ReadPlan, AllRanksTogetherUndoInterleavedRotaryHeads) {
  Rng rng(3);
  for (int round = 0; round < testing::cases(300); ++round) {
    check(random_case(rng, {DType::Q4_1, DType::Q8_0, DType::F32}, true));
    if (HasFatalFailure()) return;
  }
}

TEST(ReadPlan, AllRanksTogetherPutViewsAndBoxesTogether) {
  Rng rng(5);
  for (int round = 0; round < testing::cases(400); ++round) {
    const Case c = random_case(rng, {DType::F32, DType::BF16, DType::F64, DType::Q8_0},
                               between(rng, 0, 1) == 1, true);
    ASSERT_NO_FATAL_FAILURE(expect_whole_units(c)) << "round " << round;
    for (std::uint32_t unit = 0; unit < c.model.graph.units.size(); ++unit) {
      for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
        for (const Read& read : c.plan(unit, rank).reads) {
          ASSERT_LE(read.bytes, c.max_read_bytes);
        }
      }
    }
  }
}

TEST(ReadPlan, AllRanksTogetherRebuildSuperBlocks) {
  Rng rng(4);
  for (int round = 0; round < testing::cases(100); ++round) {
    check(random_case(rng, {DType::Q4_K, DType::Q6_K, DType::Q3_K}, true));
    if (HasFatalFailure()) return;
  }
}

/// One plain matrix of 64 KiB in bf16, by itself in a file.
Case matrix_case(std::uint32_t world, std::uint64_t max_read_bytes) {
  Case c;
  c.model.graph.tensors.push_back({"model.norm.weight", 256, 128, false, 0});
  c.model.graph.units.resize(1);
  c.model.graph.units[0].params.push_back({0, 0, 256});
  c.model.files.resize(1, Bytes(65'536 + 100));
  c.model.catalog.files.push_back({"file", 65'536 + 100});
  c.model.catalog.tensors.push_back(
      testing::dense_entry("model.norm.weight", DType::BF16, {256, 128}, 0, 100));
  c.model.catalog.finish();
  c.bindings = bind(c.model.graph, c.model.catalog, false);
  c.layout = make_layout(c.model.graph, *precision_from_name("bf16-true"));
  c.cut = make_cut(c.layout, world);
  c.max_read_bytes = max_read_bytes;
  return c;
}

/// Holds all matrices quantized.
void quantize(Case& c, Rng& rng) {
  Holding holding;
  for (const Tensor& tensor : c.model.graph.tensors) {
    const auto format = rng() % 2 == 0 ? WeightFormat::Int8 : WeightFormat::Nf4;
    holding.formats.push_back(tensor.vector ? WeightFormat::Plain : format);
  }
  c.layout = make_layout(c.model.graph, {"", c.layout.dtype}, holding);
  c.cut = make_cut(c.layout, c.cut.world);
}

/// Every element of a batch's rows is written once, by reads that fit.
void expect_whole_rows(const UnitReads& plan, const ReadTask& task, const ReadLimits& limits) {
  const RowBatch& batch = *task.batch;
  const std::uint64_t element_bytes = info(batch.dtype).block_bytes;
  ASSERT_LE(batch.rows * batch.row_bytes(), limits.batch_bytes);
  std::vector<int> written(batch.rows * batch.columns, 0);
  for (const Read& read : std::span(plan.reads).subspan(task.first_read, task.reads)) {
    ASSERT_LE(read.bytes, limits.batch_read_bytes);
    for (const Piece& piece : std::span(plan.pieces).subspan(read.first_piece, read.pieces)) {
      ASSERT_EQ(piece.to, batch.dtype);
      const std::uint64_t first = piece.destination / element_bytes;
      ASSERT_LT(first + (piece.elements - 1) * piece.destination_step, written.size());
      for (std::uint64_t i = 0; i < piece.elements; ++i) {
        ++written[first + i * piece.destination_step];
      }
    }
  }
  ASSERT_EQ(std::ranges::count(written, 1), static_cast<std::ptrdiff_t>(written.size()));
}

TEST(ReadCounter, CountsThePlansOfAllUnits) {
  Rng rng(12);
  for (int i = 0; i < testing::cases(60); ++i) {
    Case c = random_case(rng, {DType::F32, DType::BF16, DType::F64}, i % 3 == 0, i % 2 == 0);
    if (i % 3 != 0) quantize(c, rng);
    const ReadLimits limits{c.max_read_bytes, c.max_read_bytes,
                            std::max<std::uint64_t>(c.max_read_bytes, 4096)};
    const ReadCounter counter({c.model.graph, c.layout, c.cut, c.bindings, c.model.catalog},
                              limits);
    for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
      ReadTotals all;
      all.files.resize(c.model.catalog.files.size());
      for (std::uint32_t unit = 0; unit < c.model.graph.units.size(); ++unit) {
        const UnitReads plan = plan_reads(c.model.graph, c.layout, c.cut, c.bindings,
                                          c.model.catalog, unit, rank, limits);
        all.bytes += plan.bytes();
        all.reads += plan.reads.size();
        for (const Read& read : plan.reads) all.files[read.file] = true;
      }
      const ReadTotals counted = counter.of_rank(rank);
      EXPECT_EQ(counted.bytes, all.bytes);
      EXPECT_EQ(counted.reads, all.reads);
      EXPECT_EQ(counted.files, all.files);
    }
  }
}

TEST(ReadPlan, BatchesAreAllOfARanksRowsWhole) {
  Rng rng(11);
  for (int i = 0; i < testing::cases(60); ++i) {
    Case c = random_case(rng, {DType::F32, DType::BF16, DType::F64}, false, i % 2 == 0);
    quantize(c, rng);
    const ReadLimits limits{c.max_read_bytes, c.max_read_bytes,
                            std::max<std::uint64_t>(c.max_read_bytes, 4096)};
    for (std::uint32_t unit = 0; unit < c.model.graph.units.size(); ++unit) {
      for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
        const UnitReads plan = plan_reads(c.model.graph, c.layout, c.cut, c.bindings,
                                          c.model.catalog, unit, rank, limits);
        std::map<std::uint32_t, std::uint64_t> rows;
        std::uint64_t reads = 0;
        for (const ReadTask& task : plan.tasks) {
          reads += task.reads;
          if (!task.batch) continue;
          ASSERT_NO_FATAL_FAILURE(expect_whole_rows(plan, task, limits));
          rows[task.batch->tensor] += task.batch->rows;
        }
        EXPECT_EQ(reads, plan.reads.size());
        for (std::size_t p = 0; p < c.model.graph.units[unit].params.size(); ++p) {
          const Param& param = c.model.graph.units[unit].params[p];
          if (c.model.graph.tensor_of(param).vector) continue;
          EXPECT_EQ(rows[param.tensor], c.cut.rows_of(unit, p, param.rows, rank).count);
        }
      }
    }
  }
}

TEST(ReadPlan, LargeGapsThatAnotherBatchReadsAreNotReadTwice) {
  const auto reads = [](std::uint64_t gap, Gaps gaps) {
    std::vector<std::pair<std::uint32_t, Piece>> pieces;
    for (std::uint64_t i = 0; i < 3; ++i) {
      pieces.emplace_back(0, Piece{.offset = i * (800 + gap),
                                   .bytes = 800,
                                   .from = DType::U8,
                                   .to = DType::U8,
                                   .elements = 800,
                                   .destination = i * 800});
    }
    return coalesce(pieces, 1 << 20, gaps).reads.size();
  };
  EXPECT_EQ(reads(3600, Gaps::OfNobody), 1u);
  EXPECT_EQ(reads(3600, Gaps::OfOtherBatches), 3u);
  EXPECT_EQ(reads(100, Gaps::OfOtherBatches), 1u);
  EXPECT_EQ(reads(100, Gaps::OfOtherRanks), 3u);
  EXPECT_EQ(reads(0, Gaps::OfOtherRanks), 1u);
}

TEST(ReadPlan, ARowThatDoesNotFitABlockToBeQuantizedIsAnError) {
  Rng rng(1);
  Case c = random_case(rng, {DType::F32}, false);
  quantize(c, rng);
  EXPECT_THAT(error_of([&] {
                for (std::uint32_t unit = 0; unit < c.model.graph.units.size(); ++unit) {
                  (void)plan_reads(c.model.graph, c.layout, c.cut, c.bindings, c.model.catalog,
                                   unit, 0, {4096, 4096, 1});
                }
              }),
              ::testing::HasSubstr("load.staging is too small for"));
}

TEST(ReadPlan, AChunkOfOneTensorIsOneRead) {
  const Case c = matrix_case(4, 1 << 20);
  for (std::uint32_t rank = 0; rank < 4; ++rank) {
    const UnitReads plan = c.plan(0, rank);
    ASSERT_EQ(plan.reads.size(), 1u);
    EXPECT_EQ(plan.reads[0].offset, 100 + rank * 16'384);
    EXPECT_EQ(plan.reads[0].bytes, 16'384u);
    EXPECT_EQ(plan.pieces.size(), 1u);
  }
}

TEST(ReadPlan, LargeChunksAreReadInBlocksOfTheStagingRing) {
  const UnitReads plan = matrix_case(1, 28'672).plan(0, 0);
  ASSERT_EQ(plan.reads.size(), 3u);
  EXPECT_EQ(plan.reads[0].bytes, 28'672u);
  EXPECT_EQ(plan.reads[2].bytes, 65'536u - 2 * 28'672);
}

TEST(ReadPlan, ARankWithoutRowsReadsNothing) {
  const Case c = matrix_case(40, 1 << 20);  // 7 rows a rank: 37 ranks have some
  EXPECT_FALSE(c.plan(0, 36).reads.empty());
  EXPECT_TRUE(c.plan(0, 37).reads.empty());
  EXPECT_EQ(c.plan(0, 39).bytes(), 0u);
}

TEST(ReadPlan, NoBlockOfAMatrixIsReadTwice) {
  for (const DType dtype : {DType::Q8_0, DType::Q6_K}) {
    Case c;
    c.model.graph.tensors.push_back({"model.norm.weight", 7, 512, false, 0});
    c.model.graph.units.resize(1);
    c.model.graph.units[0].params.push_back({0, 0, 7});
    c.layout = make_layout(c.model.graph, *precision_from_name("32-true"));
    c.max_read_bytes = 1 << 20;
    const std::uint64_t bytes = bytes_of(dtype, 7 * 512);
    c.model.catalog.files.push_back({"file", bytes});
    c.model.catalog.tensors.push_back(
        testing::dense_entry("model.norm.weight", dtype, {7, 512}, 0, 0));
    c.model.catalog.finish();
    c.bindings = bind(c.model.graph, c.model.catalog, false);
    for (const std::uint32_t world : {1u, 2u, 3u, 4u, 7u, 16u}) {
      c.cut = make_cut(c.layout, world);
      std::uint64_t read = 0;
      for (std::uint32_t rank = 0; rank < world; ++rank) read += c.plan(0, rank).bytes();
      EXPECT_EQ(read, bytes) << world;
    }
  }
}

}  // namespace
}  // namespace initrt
