// The loader on its own: many workers, readers that a test makes slow or faulty.
#include "runtime/load/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <numeric>
#include <set>

#include "runtime/device/cpu/cpu_device.h"
#include "runtime/storage/local_files.h"
#include "sharding/read_plan.h"
#include "sharding/read_totals.h"
#include "tests/sharding/errors.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

/// What the readers of one loader share: counts, and what a test does at each read.
struct ReadLog {
  std::function<void(std::uint64_t number)> before_read;  ///< from 0, in the order of beginning
  std::atomic<std::uint64_t> begun{0}, done{0}, bytes{0}, in_place_bytes{0};
  bool cached = false;  ///< whether readers read to any place
};

/// A file of the checkpoint. Scribbles over what is around the bytes asked for, as readers may.
class LoggedReader final : public RangeReader {
 public:
  LoggedReader(std::string path, ReadLog& log)
      : path_(std::move(path)), content_(LocalFiles().read(path_, 0, size_of(path_))), log_(log) {}

  [[nodiscard]] const std::string& path() const override { return path_; }
  [[nodiscard]] std::uint64_t bytes() const override { return content_.size(); }
  [[nodiscard]] std::uint64_t padding_bytes() const override { return 2 * kBlockAlignment; }

  std::span<const std::byte> read(std::uint64_t offset, std::uint64_t bytes,
                                  std::span<std::byte> block) override {
    const std::uint64_t number = log_.begun++;
    if (log_.before_read) log_.before_read(number);
    if (offset + bytes > content_.size()) fail("{}: read past the end", path_);
    if (block.size() < bytes + padding_bytes()) fail("{}: no room for padding", path_);
    std::memset(block.data(), 0xee, block.size());
    const std::uint64_t at = offset % kBlockAlignment;
    std::memcpy(block.data() + at, content_.data() + offset, bytes);
    log_.bytes += bytes;
    ++log_.done;
    return block.subspan(at, bytes);
  }

  [[nodiscard]] bool reads_to(std::uint64_t, std::uint64_t) const override { return log_.cached; }
  void read_to(std::uint64_t offset, std::uint64_t bytes, std::byte* to) override {
    std::memcpy(to, content_.data() + offset, bytes);
    log_.in_place_bytes += bytes;
  }

 private:
  static std::uint64_t size_of(const std::string& path) { return LocalFiles().stat(path)->bytes; }

  const std::string path_;
  const std::vector<std::byte> content_;
  ReadLog& log_;
};

/// A small model cut for a world; each test loads one rank's share of it, or all ranks' in turn.
class LoaderTest : public ::testing::Test {
 protected:
  const SmallCheckpoint checkpoint_{SmallLlama{}, DType::F32, 5};
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
  Cut cut_ = make_cut(model_.layout, 1);
  StagingRing ring_{3, 16 << 10};
  ReadLog log_;
  Ledger ledger_;
  const std::unique_ptr<Device> device_ = make_cpu_device(best_instruction_set(), 1, false);
  Buffer shard_;
  std::vector<std::uint32_t> told_;  // by the loading threads, one at a time
  std::unique_ptr<Arrivals> arrivals_;

  [[nodiscard]] ReadSource source() const {
    return {model_.graph, model_.layout, cut_, model_.bindings, model_.catalog};
  }
  [[nodiscard]] ReadTotals totals(std::uint32_t rank = 0) const {
    return ReadCounter(source(), read_limits(ring_)).of_rank(rank);
  }
  [[nodiscard]] std::uint32_t units() const {
    return static_cast<std::uint32_t>(model_.graph.units.size());
  }
  /// Bytes of all ranks' pieces.
  [[nodiscard]] std::uint64_t needed_bytes(std::uint32_t world) const {
    std::uint64_t bytes = 0;
    for (std::uint32_t unit = 0; unit < units(); ++unit) {
      for (std::uint32_t rank = 0; rank < world; ++rank) {
        const UnitReads plan = plan_reads(model_.graph, model_.layout, cut_, model_.bindings,
                                          model_.catalog, unit, rank, read_limits(ring_));
        for (const Piece& piece : plan.pieces) bytes += piece.bytes;
      }
    }
    return bytes;
  }

  std::unique_ptr<Loader> make_loader(std::uint32_t rank = 0, Loader::UnitHook on_unit = {}) {
    shard_ = allocate(*device_, ledger_, MemoryCategory::Shard, cut_.memory_bytes());
    told_.clear();
    arrivals_ = std::make_unique<Arrivals>([this](std::uint32_t n) { told_.push_back(n); });
    std::vector<std::unique_ptr<RangeReader>> readers;
    const ReadTotals planned = totals(rank);
    for (std::size_t file = 0; file < planned.files.size(); ++file) {
      readers.push_back(planned.files[file]
                            ? std::make_unique<LoggedReader>(model_.catalog.files[file].path, log_)
                            : nullptr);
    }
    return std::make_unique<Loader>(source(), rank, ring_, *device_, ledger_, shard_.span(),
                                    std::move(readers), planned.bytes, *arrivals_,
                                    std::move(on_unit));
  }
};

TEST_F(LoaderTest, ReadsWhatIsPlannedAndNoMore) {
  for (const std::uint32_t world : {1u, 2u, 3u, 7u}) {
    cut_ = make_cut(model_.layout, world);
    std::uint64_t read = 0, written = 0;
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      log_.begun = log_.bytes = 0;
      const auto loader = make_loader(rank);
      loader->start();
      const LoadStatistics statistics = loader->finish();
      EXPECT_EQ(statistics.requested_bytes, totals(rank).bytes);
      EXPECT_EQ(loader->total_bytes(), totals(rank).bytes);
      EXPECT_EQ(loader->done_bytes(), totals(rank).bytes);
      EXPECT_EQ(log_.bytes.load(), totals(rank).bytes);
      EXPECT_EQ(log_.begun.load(), totals(rank).reads);
      EXPECT_GE(statistics.seconds, 0.0);
      read += statistics.requested_bytes;
      written += statistics.written_bytes;
    }
    std::uint64_t elements = 0;
    for (const SmallTensor& tensor : checkpoint_.tensors) elements += tensor.values.size();
    EXPECT_EQ(written, 2 * elements);
    EXPECT_EQ(model_.bindings.payload_bytes, 4 * elements);
    // Each byte once, but for gaps that are shorter than another read would be worth; of one rank
    // they are what lies between tensors.
    EXPECT_EQ(needed_bytes(world), 4 * elements) << world;
    EXPECT_GE(read, 4 * elements) << world;
    if (world == 1) {
      EXPECT_LE(static_cast<double>(read), 1.01 * 4 * static_cast<double>(elements));
    }
  }
}

TEST_F(LoaderTest, TellsOfUnitsInOrderWhateverOrderTheyAreReadyIn) {
  const ReadTotals all = totals();
  ASSERT_GT(all.reads, units());
  // The first read of all ends last.
  std::mutex mutex;
  std::condition_variable others_done;
  log_.before_read = [&](std::uint64_t number) {
    std::unique_lock lock(mutex);
    others_done.notify_all();
    if (number == 0) others_done.wait(lock, [&] { return log_.done.load() == all.reads - 1; });
  };
  const auto loader = make_loader();
  loader->start();
  while (log_.done.load() < all.reads - 1) {
    EXPECT_FALSE(arrivals_->has(0));
    std::this_thread::yield();
  }
  {
    const std::lock_guard lock(mutex);
    others_done.notify_all();
  }
  arrivals_->wait(units());
  loader->finish();
  EXPECT_TRUE(std::is_sorted(told_.begin(), told_.end()));
  EXPECT_EQ(told_.back(), units());
  EXPECT_LE(told_.size(), 2u) << "no unit but the last can come before the first";
}

TEST_F(LoaderTest, LetsUnitsArriveAsTheyCome) {
  ring_ = {1, 16 << 10};  // one worker: one unit after the other
  const auto loader = make_loader();
  loader->start();
  loader->finish();
  std::vector<std::uint32_t> each(units());
  std::iota(each.begin(), each.end(), 1u);
  EXPECT_EQ(told_, each);
}

TEST_F(LoaderTest, LetsUnitsArriveOfWhichThisRankReadsNothing) {
  cut_ = make_cut(model_.layout, 1000);  // one row a rank, and the vocabulary has 509
  const std::uint32_t last = 999;
  EXPECT_EQ(totals(last).reads, 0u);
  const auto nothing = make_loader(last);
  nothing->start();
  EXPECT_EQ(nothing->finish().requested_bytes, 0u);
  EXPECT_EQ(told_.back(), units());

  std::set<std::uint32_t> begun;
  ring_ = {1, 16 << 10};
  const std::uint32_t of_tables = 100;
  const auto some = make_loader(of_tables, [&](std::uint32_t unit) { begun.insert(unit); });
  EXPECT_GT(totals(of_tables).reads, 0u);
  some->start();
  some->finish();
  EXPECT_LT(begun.size(), units());
  EXPECT_EQ(told_.back(), units());
}

TEST_F(LoaderTest, TellsBeforeEachReadWhichUnitItIsOf) {
  ring_ = {1, 16 << 10};
  std::vector<std::uint32_t> told;
  const auto loader = make_loader(0, [&](std::uint32_t unit) {
    EXPECT_EQ(log_.done.load(), told.size());
    told.push_back(unit);
  });
  loader->start();
  loader->finish();
  EXPECT_EQ(told.size(), totals().reads);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), units() - 1);
}

TEST(Loader, ReadsWhatIsStoredAsItIsHeldToWhereItBelongs) {
  SmallLlama shape;
  shape.hidden = 520;  // a matrix of 64 KiB and more, and norms of less
  shape.intermediate = 320;
  shape.head_size = 40;
  const SmallCheckpoint checkpoint{shape, DType::BF16, 2};
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  const StagingRing ring{2, 512 << 10};
  for (const std::uint32_t world : {1u, 2u}) {
    const Cut cut = make_cut(model.layout, world);
    const ReadSource source{model.graph, model.layout, cut, model.bindings, model.catalog};
    const ReadTotals planned = ReadCounter(source, read_limits(ring)).of_rank(0);
    std::vector<std::vector<std::byte>> shards;
    for (const bool cached : {false, true}) {
      ReadLog log;
      log.cached = cached;
      Ledger ledger;
      const auto device = make_cpu_device(best_instruction_set(), 1, false);
      const Buffer shard = allocate(*device, ledger, MemoryCategory::Shard, cut.memory_bytes());
      std::vector<std::unique_ptr<RangeReader>> readers;
      for (const CheckpointFile& file : model.catalog.files) {
        readers.push_back(std::make_unique<LoggedReader>(file.path, log));
      }
      Arrivals arrivals;
      Loader loader(source, 0, ring, *device, ledger, shard.span(), std::move(readers),
                    planned.bytes, arrivals, {});
      loader.start();
      const LoadStatistics statistics = loader.finish();
      EXPECT_EQ(statistics.requested_bytes, planned.bytes);
      EXPECT_EQ(log.bytes + log.in_place_bytes, planned.bytes);
      EXPECT_EQ(log.in_place_bytes > planned.bytes / 2, cached) << world;
      EXPECT_GE(statistics.touch_seconds, shard.bytes() >= 4u << 20 ? 1e-6 : 0.0);
      shards.emplace_back(shard.span().begin(), shard.span().end());
    }
    EXPECT_TRUE(shards[0] == shards[1]) << world;
  }
}

TEST_F(LoaderTest, GivesTheStagingRingBackWhenLoadingIsDone) {
  const auto loader = make_loader();
  EXPECT_EQ(ledger_.held()[MemoryCategory::Staging], ring_.bytes());
  loader->start();
  loader->finish();
  EXPECT_EQ(ledger_.held()[MemoryCategory::Staging], 0u);
}

TEST_F(LoaderTest, GivesTheStagingRingBackWhenLoadingFails) {
  log_.before_read = [](std::uint64_t number) {
    if (number == 4) fail("a drive has gone");
  };
  const auto loader = make_loader();
  loader->start();
  EXPECT_EQ(error_of([&] { loader->finish(); }), "a drive has gone");
  EXPECT_EQ(ledger_.held()[MemoryCategory::Staging], 0u);
}

TEST_F(LoaderTest, NeedsNoReaderForFilesOfOtherRanks) {
  cut_ = make_cut(model_.layout, 1000);
  const auto loader = make_loader(100);  // rows of the vocabulary's tables alone
  EXPECT_THAT(loader->files(), ::testing::Contains(::testing::IsNull()));
  loader->start();
  EXPECT_GT(loader->finish().written_bytes, 0u);
}

TEST_F(LoaderTest, WritesNothingBetweenParameters) {
  const auto loader = make_loader();
  // Whatever is not written stays as it was; padding is recognized by this.
  std::memset(shard_.data(), 0x55, shard_.bytes());
  loader->start();
  loader->finish();
  std::vector<bool> of_a_parameter(shard_.bytes(), false);
  for (std::uint32_t unit = 0; unit < units(); ++unit) {
    for (std::size_t i = 0; i < model_.layout.units[unit].params.size(); ++i) {
      const std::uint64_t offset = cut_.units[unit].offset + cut_.units[unit].params[i].offset;
      std::fill_n(of_a_parameter.begin() + static_cast<std::ptrdiff_t>(offset),
                  model_.layout.units[unit].params[i].bytes(), true);
    }
  }
  for (std::uint64_t i = 0; i < shard_.bytes(); ++i) {
    if (!of_a_parameter[i]) {
      ASSERT_EQ(shard_.data()[i], std::byte{0x55}) << "byte " << i;
    }
  }
}

TEST_F(LoaderTest, TellsThoseWhoWaitThatAReadHasFailed) {
  const std::uint64_t reads = totals().reads;
  for (const std::uint64_t bad : {std::uint64_t{0}, reads / 2, reads - 1}) {
    log_.begun = 0;
    log_.before_read = [bad](std::uint64_t number) {
      if (number == bad) fail("a drive has gone");
    };
    const auto loader = make_loader();
    loader->start();
    EXPECT_EQ(error_of([&] { arrivals_->wait(units()); }), "a drive has gone") << bad;
    EXPECT_EQ(error_of([&] { loader->finish(); }), "a drive has gone") << bad;
    EXPECT_TRUE(told_.empty() || told_.back() < units());
  }
}

TEST_F(LoaderTest, ReadsNoFurtherOnceAReadHasFailed) {
  ring_ = {1, 16 << 10};
  log_.before_read = [](std::uint64_t number) {
    if (number == 2) fail("a drive has gone");
  };
  const auto loader = make_loader();
  loader->start();
  EXPECT_EQ(error_of([&] { loader->finish(); }), "a drive has gone");
  EXPECT_EQ(log_.begun.load(), 3u);
}

TEST_F(LoaderTest, CarriesAnExceptionOfAnyTypeToThoseWhoWait) {
  const auto loader = make_loader(0, [](std::uint32_t unit) {
    if (unit == 1) throw std::bad_alloc();
  });
  loader->start();
  EXPECT_THROW(arrivals_->wait(units()), std::bad_alloc);
  EXPECT_THROW(loader->finish(), std::bad_alloc);
}

TEST_F(LoaderTest, StopsWhenItIsDestroyedEarly) {
  std::atomic<bool> leaving{false};
  log_.before_read = [&](std::uint64_t) { leaving.wait(false); };
  auto loader = make_loader();
  loader->start();
  while (log_.begun.load() < ring_.blocks) std::this_thread::yield();  // all are in a read
  std::string error;
  std::thread waiting([&] { error = error_of([&] { arrivals_->wait(units()); }); });
  std::thread leaver([&] { loader.reset(); });
  waiting.join();  // hears of it even while the reads are under way
  leaving = true;
  leaving.notify_all();
  leaver.join();
  EXPECT_EQ(error, "loading was stopped");
  EXPECT_EQ(log_.begun.load(), ring_.blocks);
  EXPECT_EQ(ledger_.held()[MemoryCategory::Staging], 0u);
}

TEST_F(LoaderTest, IsNoFailureToLeaveWhenEverythingHasArrived) {
  auto loader = make_loader();
  loader->start();
  arrivals_->wait(units());
  loader.reset();  // without finish()
  EXPECT_NO_THROW(arrivals_->check());
}

TEST_F(LoaderTest, IsNoFailureToLeaveBeforeItStarts) {
  make_loader().reset();
  EXPECT_NO_THROW(arrivals_->check());
  EXPECT_EQ(ledger_.held()[MemoryCategory::Staging], 0u);
}

TEST_F(LoaderTest, RefusesElementsThatCannotBeConverted) {
  OpenModel integers = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
  for (TensorEntry& tensor : integers.catalog.tensors) {
    if (tensor.name == "model.norm.weight") tensor.dtype = DType::I32;
  }
  Arrivals arrivals;
  const ReadSource source{integers.graph, integers.layout, cut_, integers.bindings,
                          integers.catalog};
  const std::string error = error_of(
      [&] { const Loader loader(source, 0, ring_, *device_, ledger_, {}, {}, 0, arrivals, {}); });
  EXPECT_THAT(error, HasSubstr("model.norm.weight is I32"));
  EXPECT_THAT(error, HasSubstr("BF16"));
}

}  // namespace
}  // namespace initrt::testing
