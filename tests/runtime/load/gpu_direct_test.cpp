// Reads straight into a GPU's memory, with a fake libcufile: what arrives, what is counted, and
// that nothing is lost where they do not work.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <thread>

#include "cuda_emulator/control.h"
#include "fake_cufile.h"
#include "runtime/device/cuda/cufile.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/storage/file_reader.h"
#include "sharding/read_plan.h"
#include "sharding/read_totals.h"
#include "tests/sharding/errors.h"
#include "tests/support/small_checkpoint.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Values;

/// A file that is not in the page cache, on a file system that does direct reads.
class UncachedReader final : public FileReader {
 public:
  UncachedReader(const CheckpointFile& file, ReadStatistics& statistics, bool fails)
      : FileReader(file.path, file.bytes, statistics),
        file_(open_regular(file.path)),
        fails_(fails) {}

  [[nodiscard]] int direct_file(std::uint64_t offset, std::uint64_t bytes) const override {
    const int direct = FileReader::direct_file(offset, bytes);
    return direct >= 0 ? direct : file_.descriptor.get();
  }

 protected:
  [[nodiscard]] bool cached(std::uint64_t, std::uint64_t) const override { return false; }
  ssize_t read_some(int fd, std::byte* to, std::uint64_t bytes, std::uint64_t offset) override {
    if (!fails_) return FileReader::read_some(fd, to, bytes, offset);
    errno = EIO;
    return -1;
  }

 private:
  const OpenFile file_;
  const bool fails_;
};

/// The bytes from a range's first block to its last, or the file's end.
std::uint64_t aligned_bytes(const Read& read, std::uint64_t file_bytes) {
  const std::uint64_t end = (read.offset + read.bytes + 4095) / 4096 * 4096;
  return std::min(end, file_bytes) - read.offset / 4096 * 4096;
}

class GpuDirect : public ::testing::Test {
 protected:
  void SetUp() override {
    cuda_emulator::reset();
    fake_cufile::reset();
    ::setenv("CUFILE_USE_PCIP2PDMA", "1", /*overwrite=*/1);
  }

  struct Loaded {
    Units units;
    std::uint64_t requested = 0, read = 0, device = 0, host = 0;  ///< bytes, of all ranks
    std::uint64_t planned = 0;  ///< bytes of all reads, with alignment
    std::uint64_t reads = 0;
    std::uint64_t files = 0;  ///< those that a rank reads, of all ranks
  };

  const SmallCheckpoint checkpoint_{SmallLlama{}, DType::F32, 3};
  StagingRing ring_{1, 16 << 10};  // one worker, so that all of a file but its test is certain
  bool reads_fail_ = false;

  /// Loads every rank's share, one after the other.
  Loaded load(const OpenModel& model, std::uint32_t world, bool direct) {
    Loaded loaded;
    const Cut cut = make_cut(model.layout, world);
    const ReadSource source{model.graph, model.layout, cut, model.bindings, model.catalog};
    for (std::uint32_t unit = 0; unit < model.graph.units.size(); ++unit) {
      loaded.units.emplace_back(cut.gathered_bytes(unit));
    }
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      ReadStatistics statistics;
      const std::vector<std::byte> shard = load_rank(source, rank, direct, statistics, loaded);
      for (std::uint32_t unit = 0; unit < loaded.units.size(); ++unit) {
        const std::uint64_t bytes = cut.units[unit].chunk_bytes;
        std::memcpy(loaded.units[unit].data() + rank * bytes,
                    shard.data() + cut.chunk_offset(unit, rank), bytes);
      }
      loaded.requested += statistics.requested_bytes;
      loaded.read += statistics.read_bytes();
      loaded.device += statistics.device_bytes;
      loaded.host += statistics.read_bytes() - statistics.device_bytes;
    }
    return loaded;
  }

  Loaded load(std::uint32_t world = 1, bool direct = true) {
    return load(open_checkpoint_as(checkpoint_.directory.path(), "bf16-true"), world, direct);
  }

 private:
  std::vector<std::byte> load_rank(const ReadSource& source, std::uint32_t rank, bool direct,
                                   ReadStatistics& statistics, Loaded& loaded) {
    const std::unique_ptr<Device> device = cuda::make_device(0, {.direct = direct});
    Ledger ledger;
    const Buffer shard =
        allocate(*device, ledger, MemoryCategory::Shard, source.cut.memory_bytes());
    const ReadTotals totals = ReadCounter(source, read_limits(ring_)).of_rank(rank);
    std::vector<std::unique_ptr<RangeReader>> readers;
    for (std::size_t file = 0; file < totals.files.size(); ++file) {
      readers.push_back(totals.files[file]
                            ? std::make_unique<UncachedReader>(source.catalog.files[file],
                                                               statistics, reads_fail_)
                            : nullptr);
      if (totals.files[file]) ++loaded.files;
    }
    for (std::uint32_t unit = 0; unit < source.graph.units.size(); ++unit) {
      const UnitReads plan = plan_reads(source.graph, source.layout, source.cut, source.bindings,
                                        source.catalog, unit, rank, read_limits(ring_));
      for (const Read& read : plan.reads) {
        loaded.planned += aligned_bytes(read, source.catalog.files[read.file].bytes);
      }
      loaded.reads += plan.reads.size();
    }
    Arrivals arrivals;
    Loader loader(source, rank, ring_, *device, ledger, shard.span(), std::move(readers),
                  totals.bytes, arrivals, {});
    loader.start();
    EXPECT_EQ(loader.finish().requested_bytes, totals.bytes);
    EXPECT_EQ(loader.done_bytes(), totals.bytes);
    const Buffer copy = device->allocate_host(ledger, MemoryCategory::Pinned, shard.bytes());
    const auto download = device->start_download(shard.data(), copy.span());
    while (!download->done()) std::this_thread::yield();
    return {copy.span().begin(), copy.span().end()};
  }
};

void expect_all_given_back() {
  const fake_cufile::Counts counts = fake_cufile::counts();
  EXPECT_EQ(counts.drivers, 0);
  EXPECT_EQ(counts.memory, 0);
  EXPECT_EQ(counts.files, 0);
}

TEST_F(GpuDirect, GivesTheSameUnitsFromAnyFormatOnAnyNumberOfRanks) {
  const TemporaryDirectory directory;
  write_gguf(directory.file("model.gguf"), checkpoint_.model, checkpoint_.tensors);
  for (const std::string& path : {checkpoint_.directory.path(), directory.file("model.gguf")}) {
    for (const char* precision : {"32-true", "bf16-true"}) {
      const OpenModel model = open_checkpoint_as(path, precision);
      for (const std::uint32_t world : {1u, 3u}) {
        for (const std::uint32_t blocks : {1u, 4u}) {
          ring_.blocks = blocks;
          const Loaded ordinary = load(model, world, /*direct=*/false);
          fake_cufile::reset();
          const Loaded direct = load(model, world, /*direct=*/true);
          EXPECT_TRUE(direct.units == ordinary.units) << path << ", " << precision << ", " << world;
          EXPECT_EQ(direct.requested, ordinary.requested);
          EXPECT_EQ(ordinary.device, 0u);
          EXPECT_GT(direct.device, 0u);
          EXPECT_EQ(fake_cufile::counts().unaligned, 0u);
          expect_all_given_back();
        }
      }
    }
  }
}

TEST_F(GpuDirect, UsesNoHostMemoryAndCountsWhatIsRead) {
  const Loaded loaded = load();
  const fake_cufile::Counts counts = fake_cufile::counts();
  EXPECT_EQ(counts.reads, loaded.reads);
  EXPECT_EQ(counts.bytes, loaded.planned);
  EXPECT_EQ(loaded.device, loaded.planned);
  EXPECT_EQ(loaded.files, 3u);
  EXPECT_GT(loaded.host, 0u) << "each file's first bytes are compared";
  EXPECT_LE(loaded.host, loaded.files * ring_.block_bytes / 2);
  EXPECT_EQ(cuda_emulator::counters().bytes_to_device, counts.bytes) << "nothing else is copied";
}

TEST_F(GpuDirect, IsSwitchedOff) {
  EXPECT_EQ(load(1, /*direct=*/false).device, 0u);
  EXPECT_EQ(fake_cufile::counts().opened, 0u);
}

TEST_F(GpuDirect, LeavesTheLibraryAloneWhereTheMachineIsNotSetUp) {
  if (::access("/proc/driver/nvidia-fs", F_OK) == 0) GTEST_SKIP() << "this machine is";
  ::unsetenv("CUFILE_USE_PCIP2PDMA");
  EXPECT_EQ(load().device, 0u);
  EXPECT_EQ(fake_cufile::counts().opened, 0u);
}

struct Refusal {
  const char* name;
  fake_cufile::Faults faults;

  friend std::ostream& operator<<(std::ostream& out, const Refusal& refusal) {
    return out << refusal.name;
  }
};

class GpuDirectRefused : public GpuDirect, public ::testing::WithParamInterface<Refusal> {};

INSTANTIATE_TEST_SUITE_P(By, GpuDirectRefused,
                         Values(Refusal{"Driver", {.driver_fails = true}},
                                Refusal{"CompatibilityMode", {.stays_compatible = true}},
                                Refusal{"Memory", {.refuses_memory = true}},
                                Refusal{"Files", {.refuses_files = true}}),
                         [](const auto& refusal) { return refusal.param.name; });

TEST_P(GpuDirectRefused, ReadsThroughTheHost) {
  const Units expected = load(1, /*direct=*/false).units;
  fake_cufile::reset(GetParam().faults);
  const Loaded loaded = load();
  EXPECT_TRUE(loaded.units == expected);
  EXPECT_EQ(loaded.device, 0u);
  EXPECT_EQ(fake_cufile::counts().reads, 0u);
  expect_all_given_back();
}

class GpuDirectBroken : public GpuDirect, public ::testing::WithParamInterface<Refusal> {};

INSTANTIATE_TEST_SUITE_P(By, GpuDirectBroken,
                         Values(Refusal{"FirstRead", {.failing_read = 0}},
                                Refusal{"LaterRead", {.failing_read = 7}},
                                Refusal{"FirstReadShort", {.short_read = 0}},
                                Refusal{"LaterReadShort", {.short_read = 7}},
                                Refusal{"FirstReadWrong", {.wrong_read = 0}}),
                         [](const auto& refusal) { return refusal.param.name; });

TEST_P(GpuDirectBroken, ReadsThatFileThroughTheHost) {
  const Loaded ordinary = load(1, /*direct=*/false);
  fake_cufile::reset(GetParam().faults);
  const Loaded loaded = load();
  EXPECT_TRUE(loaded.units == ordinary.units);
  EXPECT_EQ(loaded.requested, ordinary.requested);
  EXPECT_EQ(loaded.device, fake_cufile::counts().bytes);
  EXPECT_GT(loaded.device, 0u) << "other files";
  EXPECT_LT(fake_cufile::counts().reads, loaded.reads) << "none more of that file";
  expect_all_given_back();
}

TEST_F(GpuDirect, TellsOfReadsThatFailBothWays) {
  fake_cufile::reset({.failing_read = 0});
  reads_fail_ = true;
  EXPECT_THAT(error_of([&] { load(); }), HasSubstr("cannot read at byte"));
  expect_all_given_back();
}

TEST_F(GpuDirect, TriesAFileInOneThreadBeforeOthersUseIt) {
  const std::unique_ptr<Device> device = cuda::make_device(0);
  Ledger ledger;
  const Buffer memory = allocate(*device, ledger, MemoryCategory::Conversion, 16 << 10);
  const OpenFile good = open_regular(checkpoint_.directory.file(checkpoint_.files[0]));
  const OpenFile bad = open_regular(checkpoint_.directory.file(checkpoint_.files[1]));
  {
    const auto direct = cuda::CuFile::open(memory.span());
    ASSERT_NE(direct, nullptr);
    for (const OpenFile* file : {&good, &bad}) {
      const int descriptor = file->descriptor.get();
      EXPECT_EQ(direct->use_of(descriptor), cuda::CuFile::Use::Test);
      EXPECT_EQ(direct->use_of(descriptor), cuda::CuFile::Use::No);
      direct->settle(descriptor, file == &good);
      EXPECT_EQ(direct->use_of(descriptor),
                file == &good ? cuda::CuFile::Use::Yes : cuda::CuFile::Use::No);
    }
    EXPECT_EQ(fake_cufile::counts().files, 2);
  }
  expect_all_given_back();
}

TEST_F(GpuDirect, IsOpenedBySeveralDevicesOfAProcess) {
  const std::unique_ptr<Device> device = cuda::make_device(0);
  Ledger ledger;
  const Buffer a = allocate(*device, ledger, MemoryCategory::Conversion, 4096);
  const Buffer b = allocate(*device, ledger, MemoryCategory::Conversion, 4096);
  const auto first = cuda::CuFile::open(a.span());
  EXPECT_NE(first, nullptr);
  EXPECT_NE(cuda::CuFile::open(b.span()), nullptr);
  EXPECT_EQ(fake_cufile::counts().drivers, 1);
}

}  // namespace
}  // namespace initrt::testing
