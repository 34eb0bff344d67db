// The uploaders of every device: their blocks, and what becomes of reads, against convert_read() on
// the host.
#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "runtime/convert/convert.h"
#include "runtime/storage/range_reader.h"
#include "tests/runtime/device/devices.h"

namespace initrt::test {
namespace {

constexpr StagingRing kRing{3, 64 << 10};

/// Whether all elements have the same bits, but for NaN, which are all the same.
bool same_elements(const std::vector<std::byte>& a, const std::vector<std::byte>& b, DType dtype) {
  const auto numbers = [dtype](const std::vector<std::byte>& bytes) {
    std::vector<float> values(bytes.size() / bytes_of(dtype, 1));
    convert(bytes, dtype, 0, values.size(), reinterpret_cast<std::byte*>(values.data()),
            DType::F32);
    return values;
  };
  return same_numbers(numbers(a), numbers(b));
}

/// A read that is all of its plan's.
struct Reading {
  UnitReads plan;
  std::vector<std::byte> bytes;
};

class DeviceUploader : public DeviceTest {
 protected:
  /// Pieces of random lengths one after the other, a few bytes apart, from `offset` of a file.
  Reading make_read(const std::vector<DType>& from, DType to, std::size_t pieces,
                    std::uint64_t offset, std::uint64_t step = 1) {
    Reading reading;
    std::uint64_t at = offset, destination = 0;
    for (std::size_t i = 0; i < pieces; ++i) {
      Piece piece;
      piece.from = from[i * from.size() / pieces];
      piece.to = to;
      const std::uint64_t block = info(piece.from).block_elements;
      piece.elements = 1 + below(300);
      piece.skip = static_cast<std::uint32_t>(below(block));
      piece.source_step = block == 1 ? step : 1;
      piece.destination_step = step;
      piece.offset = at;
      piece.bytes = block == 1 ? bytes_of(piece.from, (piece.elements - 1) * step + 1)
                               : (piece.skip + piece.elements + block - 1) / block *
                                     info(piece.from).block_bytes;
      piece.destination = destination;
      at += piece.bytes + below(3);
      destination += bytes_of(to, piece.elements * step + below(3));
      reading.plan.pieces.push_back(piece);
    }
    reading.plan.reads.push_back({0, offset, at - offset, 0, static_cast<std::uint32_t>(pieces)});
    reading.plan.tasks.push_back({0, 1, {}});
    reading.bytes = random_bytes(at - offset);
    return reading;
  }

  /// The end of the uploader's block, as a direct read may leave it there.
  static std::span<const std::byte> put_into_block(const Uploader& uploader,
                                                   const std::vector<std::byte>& bytes) {
    const std::span<std::byte> place = uploader.block().last(bytes.size());
    std::copy(bytes.begin(), bytes.end(), place.begin());
    return place;
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceUploader, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceUploader, HasABlockOfTheRingForItselfAsLongAsOneOfThemLives) {
  const auto device = GetParam().make(1);
  Ledger ledger;
  auto uploaders = device->make_uploaders(ledger, kRing);
  ASSERT_EQ(uploaders.size(), 3u);
  std::vector<const std::byte*> begins;
  for (const auto& uploader : uploaders) {
    const std::span<std::byte> block = uploader->block();
    EXPECT_EQ(block.size(), kRing.block_bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % kBlockAlignment, 0u);
    begins.push_back(block.data());
  }
  std::ranges::sort(begins);
  for (int i = 0; i < 2; ++i) {
    EXPECT_GE(begins[i + 1] - begins[i], static_cast<std::ptrdiff_t>(kRing.block_bytes));
  }
  EXPECT_EQ(ledger.held()[MemoryCategory::Staging], kRing.bytes());
  uploaders.resize(1);
  EXPECT_EQ(ledger.held()[MemoryCategory::Staging], kRing.bytes());
  uploaders.clear();
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST_P(DeviceUploader, StoresPiecesWithTheBitsOfTheHost) {
  auto device = this->device();
  Ledger ledger;
  const auto uploaders = device->make_uploaders(ledger, kRing);
  struct Case {
    std::vector<DType> from;
    DType to;
    std::size_t pieces;
    std::uint64_t step;
  };
  for (const Case& c :
       {Case{{DType::BF16}, DType::BF16, 3, 1},                              // copied as they are
        Case{{DType::F32}, DType::F32, 30, 1},                               // many of such
        Case{{DType::BF16}, DType::F32, 5, 1},                               //
        Case{{DType::F16}, DType::BF16, 40, 1},                              //
        Case{{DType::BF16}, DType::BF16, 20, 3},                             // with steps
        Case{{DType::Q4_K}, DType::BF16, 6, 1},                              //
        Case{{DType::Q8_0}, DType::F16, 9, 1},                               //
        Case{{DType::Q4_0, DType::F32, DType::BF16}, DType::F32, 12, 1}}) {  // of several dtypes
    const Reading reading = make_read(c.from, c.to, c.pieces, 8192, c.step);
    std::vector<std::byte> expected(bytes_of(c.to, 1000 * c.pieces), std::byte{0x5a});
    const auto out = device.put(expected);
    device->synchronize();  // uploaders do not wait for the stream
    const std::uint64_t written =
        convert_read(reading.plan, reading.plan.reads[0], reading.bytes, expected.data());
    const StoredRead stored_read =
        uploaders[1]->store(reading.plan, reading.plan.tasks[0], reading.plan.reads[0],
                            put_into_block(*uploaders[1], reading.bytes), out.get());
    EXPECT_TRUE(same_elements(device.get(out), expected, c.to))
        << name(c.from[0]) << " to " << name(c.to);
    EXPECT_EQ(stored_read.bytes, written);
    for (const auto& interval : {stored_read.copy, stored_read.convert}) {
      EXPECT_TRUE(!interval || interval->begin <= interval->end);
    }
    EXPECT_TRUE(stored_read.copy || stored_read.convert);
    EXPECT_TRUE(device->is_discrete() || !stored_read.copy);
  }
}

// As a file interleaves rotary halves: rows that go apart, more than are worth a copy each.
TEST_P(DeviceUploader, StoresBlocksAsTheyAre) {
  auto device = this->device();
  Ledger ledger;
  const auto uploaders = device->make_uploaders(ledger, kRing);
  for (const DType dtype : {DType::Q4_0, DType::Q8_0, DType::Q6_K}) {
    const std::uint64_t elements = 2 * info(dtype).block_elements;
    const std::uint64_t bytes = bytes_of(dtype, elements);
    UnitReads plan;
    constexpr std::uint64_t kRows = 30;
    for (std::uint64_t row = 0; row < kRows; ++row) {
      plan.pieces.push_back({.offset = 4096 + row * bytes,
                             .bytes = bytes,
                             .from = dtype,
                             .to = dtype,
                             .elements = elements,
                             .destination = (row % 2 * kRows / 2 + row / 2) * bytes});
    }
    plan.reads = {{0, 4096, kRows * bytes, 0, kRows}};
    plan.tasks = {{0, 1, {}}};
    const std::vector<std::byte> read = random_bytes(kRows * bytes);
    std::vector<std::byte> expected(read.size());
    convert_read(plan, plan.reads[0], read, expected.data());
    const auto out = device.put(std::vector<std::byte>(read.size()));
    device->synchronize();
    const StoredRead stored = uploaders[0]->store(plan, plan.tasks[0], plan.reads[0],
                                                  put_into_block(*uploaders[0], read), out.get());
    EXPECT_EQ(stored.bytes, read.size());
    EXPECT_TRUE(device.get(out) == expected) << name(dtype);
  }
}

TEST_P(DeviceUploader, StoresBesideOthersAndOps) {
  auto device = this->device();
  Ledger ledger;
  const auto uploaders = device->make_uploaders(ledger, kRing);
  std::vector<Reading> readings;
  std::vector<std::vector<std::byte>> expected;
  std::vector<Placed<std::byte>> outs;
  for (std::size_t i = 0; i < uploaders.size(); ++i) {
    readings.push_back(make_read({DType::F16}, DType::BF16, 20, 4096 * i));
    expected.emplace_back(bytes_of(DType::BF16, 10000), std::byte{0x5a});
    outs.push_back(device.put(expected.back()));
    convert_read(readings[i].plan, readings[i].plan.reads[0], readings[i].bytes,
                 expected[i].data());
  }
  const auto x = device.put(random(10000));
  device->synchronize();
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < uploaders.size(); ++i) {
    workers.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round) {
        uploaders[i]->store(readings[i].plan, readings[i].plan.tasks[0], readings[i].plan.reads[0],
                            put_into_block(*uploaders[i], readings[i].bytes), outs[i].get());
      }
    });
  }
  for (int i = 0; i < 20; ++i) device->scale(x.get(), 1.5f, 10000);
  for (std::thread& worker : workers) worker.join();
  for (std::size_t i = 0; i < outs.size(); ++i) {
    EXPECT_TRUE(same_elements(device.get(outs[i]), expected[i], DType::BF16)) << i;
  }
}

}  // namespace
}  // namespace initrt::test
