// Batches of every device's uploaders: rows that the host makes as a whole, against
// convert_batch_read() into the host's memory.
#include <gmock/gmock.h>

#include <algorithm>

#include "runtime/convert/batch.h"
#include "runtime/convert/dequantize.h"
#include "tests/runtime/device/devices.h"

namespace initrt::test {
namespace {

class DeviceBatch : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceBatch, testing::ValuesIn(all_devices()), device_name);

// Rows of numbers, of the precision and of another, in one read and in two. Scales that become
// codes later stay on the host.
TEST_P(DeviceBatch, QuantizesRowsWithTheBitsOfTheHost) {
  auto device = this->device();
  Ledger ledger;
  const auto uploaders = device->make_uploaders(ledger, {3, 64 << 10});
  for (const WeightFormat format : {WeightFormat::Int8, WeightFormat::Nf4, WeightFormat::Fp4,
                                    WeightFormat::Nf4Dq, WeightFormat::Fp4Dq}) {
    for (const DType from : {DType::F32, DType::BF16}) {
      for (const std::size_t reads : {1, 2}) {
        RowBatch batch;
        batch.format = format;
        batch.dtype = DType::BF16;
        batch.rows = 40;
        batch.columns = batch.width = 130;
        const std::uint64_t code_bytes = 40 * row_bytes(format, batch.dtype, batch.columns);
        batch.to[0] = {256, 512 + code_bytes};
        UnitReads plan;
        const std::uint64_t elements = batch.rows * batch.columns / reads;
        for (std::size_t i = 0; i < reads; ++i) {
          plan.pieces.push_back({.offset = i * bytes_of(from, elements),
                                 .bytes = bytes_of(from, elements),
                                 .from = from,
                                 .to = batch.dtype,
                                 .elements = elements,
                                 .destination = i * bytes_of(batch.dtype, elements)});
          plan.reads.push_back(
              {0, plan.pieces[i].offset, plan.pieces[i].bytes, static_cast<std::uint32_t>(i), 1});
        }
        plan.tasks = {{0, static_cast<std::uint32_t>(reads), batch}};
        auto numbers = random(batch.rows * batch.columns);
        const auto bytes = stored(numbers, from);

        const std::uint64_t scale_bytes = 40 * scale_row_bytes(batch.made_format(), batch.columns);
        std::vector<std::byte> expected(512 + code_bytes + scale_bytes);
        std::vector<std::byte> expected_floats(expected.size()), floats(expected.size());
        std::vector<std::byte> memory(divide_batch_memory(batch).bytes);
        const auto out = device.put(expected);
        device->synchronize();
        std::uint64_t written = 0;
        for (const Read& read : plan.reads) {
          const auto part = std::span(bytes).subspan(read.offset, read.bytes);
          plan.tasks[0].batch->float_scales = expected_floats.data();
          convert_batch_read(plan, plan.tasks[0], read, part, memory, expected.data());
          plan.tasks[0].batch->float_scales = floats.data();
          std::ranges::copy(part, uploaders[0]->block().begin());
          written += uploaders[0]
                         ->store(plan, plan.tasks[0], read, uploaders[0]->block().first(read.bytes),
                                 out.get())
                         .bytes;
        }
        EXPECT_EQ(written, code_bytes + scale_bytes);
        EXPECT_EQ(floats, expected_floats) << name(format);
        EXPECT_NE(std::ranges::all_of(floats, [](std::byte byte) { return byte == std::byte{}; }),
                  has_coded_scales(format));
        EXPECT_TRUE(device.get(out) == expected)
            << name(format) << " from " << name(from) << ", " << reads << " reads";
      }
    }
  }
}

// What is stored quantized in one way and held in another.
TEST_P(DeviceBatch, QuantizesRowsOfAStoredWeightWithTheBitsOfTheHost) {
  constexpr std::uint64_t kSide = 128;
  QuantizedWeight weight;
  weight.rows = weight.columns = weight.block_rows = weight.block_columns = kSide;
  weight.components = {
      {QuantRole::Codes, 0, DType::F8_E4M3, kSide, kSide, QuantAxis::Rows, 1, 1, "codes"},
      {QuantRole::Scales, 1, DType::F32, 1, 1, QuantAxis::None, 1, 1, "scale"}};
  auto device = this->device();
  Ledger ledger;
  const StagingRing ring{1, 512u << 10};
  const auto uploaders = device->make_uploaders(ledger, ring);
  for (const WeightFormat format : {WeightFormat::Int8, WeightFormat::Nf4}) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
      RowBatch batch;
      batch.format = format;
      batch.dtype = dtype;
      batch.rows = batch.columns = batch.width = kSide;
      batch.source = &weight;
      const std::uint64_t code_bytes = kSide * row_bytes(format, dtype, kSide);
      batch.to[0] = {0, code_bytes};
      ASSERT_LE(divide_batch_memory(batch).bytes, ring.block_bytes - batch_begin(ring.block_bytes));
      std::vector<std::byte> bytes = random_bytes(kSide * kSide + sizeof(float));
      for (std::byte& code : bytes) code &= std::byte{0xbf};  // no NaN
      const float scale = 0.25f;
      std::memcpy(bytes.data() + kSide * kSide, &scale, sizeof scale);
      const std::vector<std::uint64_t> offsets = box_offsets(source_boxes(weight, 0, kSide));
      UnitReads plan;
      plan.pieces = {{.offset = 0,
                      .bytes = kSide * kSide,
                      .from = DType::F8_E4M3,
                      .to = DType::F8_E4M3,
                      .elements = kSide * kSide,
                      .destination = offsets[0]},
                     {.offset = kSide * kSide,
                      .bytes = sizeof scale,
                      .from = DType::F32,
                      .to = DType::F32,
                      .elements = 1,
                      .destination = offsets[1]}};
      plan.reads = {{0, 0, bytes.size(), 0, 2}};
      plan.tasks = {{0, 1, batch}};
      std::vector<std::byte> expected(code_bytes + kSide * scale_row_bytes(format, kSide));
      std::vector<std::byte> memory(divide_batch_memory(batch).bytes + 64);
      convert_batch_read(plan, plan.tasks[0], plan.reads[0], bytes, memory, expected.data());
      const auto out = device.put(std::vector<std::byte>(expected.size()));
      device->synchronize();
      std::ranges::copy(bytes, uploaders[0]->block().begin());
      const StoredRead stored = uploaders[0]->store(
          plan, plan.tasks[0], plan.reads[0], uploaders[0]->block().first(bytes.size()), out.get());
      EXPECT_EQ(stored.bytes, expected.size());
      EXPECT_TRUE(device.get(out) == expected) << name(format) << " " << name(dtype);
    }
  }
}

// AWQ's weight of 64 rows and 256 columns, of which columns 64 to 192 are made: nothing is written
// between them.
TEST_P(DeviceBatch, MakesSomeColumnsOfRowsBetweenOthers) {
  constexpr std::uint64_t kRows = 64, kWidth = 256, kFirst = 64, kColumns = 128, kGroup = 64;
  QuantizedWeight weight;
  weight.method = QuantMethod::Awq;
  weight.rows = kRows;
  weight.columns = kWidth;
  weight.bits = 4;
  weight.block_columns = kGroup;
  constexpr auto kCut = QuantAxis::Columns, kSlab = QuantAxis::Rows;
  weight.components = {
      {QuantRole::Codes, 0, DType::I32, kWidth, kRows / 8, kCut, 1, 8, "codes", kSlab, 1},
      {QuantRole::Scales, 1, DType::F32, kWidth / kGroup, kRows, kCut, 1, 1, "scales", kSlab,
       kGroup},
      {QuantRole::Zeros, 2, DType::I32, kWidth / kGroup, kRows / 8, kCut, 1, 8, "zeros", kSlab,
       kGroup}};
  const std::vector<SourceBox> boxes = source_boxes(weight, {0, kRows, kFirst, kColumns});
  UnitReads plan;
  std::uint64_t end = 0;
  for (const SourceBox& box : boxes) {
    plan.pieces.push_back({.offset = end,
                           .bytes = box.bytes(),
                           .from = box.dtype,
                           .to = box.dtype,
                           .elements = box.rows * box.columns,
                           .destination = box_offsets(boxes)[plan.pieces.size()]});
    end += box.bytes();
  }
  plan.reads = {{0, 0, end, 0, 3}};
  std::vector<std::byte> bytes = random_bytes(end);
  const auto scales = random(kRows * kColumns / kGroup);
  std::memcpy(bytes.data() + plan.pieces[1].offset, scales.data(), plan.pieces[1].bytes);

  auto device = this->device();
  Ledger ledger;
  const StagingRing ring{1, 128u << 10};
  const auto uploaders = device->make_uploaders(ledger, ring);
  for (const WeightFormat format : {WeightFormat::Plain, WeightFormat::Nf4, WeightFormat::Nf4Dq}) {
    RowBatch batch;
    batch.format = format;
    batch.dtype = DType::BF16;
    batch.rows = kRows;
    batch.first_column = batch.source_column = kFirst;
    batch.columns = kColumns;
    batch.width = kWidth;
    batch.source = &weight;
    const std::uint64_t code_bytes = kRows * row_bytes(format, batch.dtype, kWidth);
    batch.to[0] = {256, 256 + code_bytes};
    plan.tasks = {{0, 1, batch}};
    ASSERT_LE(divide_batch_memory(batch).bytes, ring.block_bytes / 2);
    std::vector<std::byte> memory(divide_batch_memory(batch).bytes);
    std::vector<std::byte> expected(
        256 + code_bytes + kRows * scale_row_bytes(batch.made_format(), kWidth), std::byte{0x55});
    // Of scales that become codes, the host's memory has the floats.
    std::vector<std::byte> expected_floats = expected, floats = expected;
    const auto out = device.put(expected);
    device->synchronize();
    plan.tasks[0].batch->float_scales = expected_floats.data();
    convert_batch_read(plan, plan.tasks[0], plan.reads[0], bytes, memory, expected.data());
    plan.tasks[0].batch->float_scales = floats.data();
    std::ranges::copy(bytes, uploaders[0]->block().begin());
    const StoredRead stored = uploaders[0]->store(plan, plan.tasks[0], plan.reads[0],
                                                  uploaders[0]->block().first(end), out.get());
    EXPECT_EQ(stored.bytes, kRows * (row_bytes(format, batch.dtype, kColumns) +
                                     scale_row_bytes(batch.made_format(), kColumns)));
    EXPECT_TRUE(device.get(out) == expected) << name(format);
    EXPECT_EQ(floats, expected_floats) << name(format);
    EXPECT_NE(std::ranges::all_of(floats, [](std::byte byte) { return byte == std::byte{0x55}; }),
              has_coded_scales(format));
    const std::uint64_t stride = row_bytes(format, batch.dtype, kWidth);
    const std::uint64_t before = row_bytes(format, batch.dtype, kFirst);
    EXPECT_EQ(expected[256 + stride + before - 1], std::byte{0x55});
  }
}

// Of 1 MiB of codes 4 MiB of rows: more than is left of a block.
TEST_P(DeviceBatch, MakesRowsThatAreLargerThanItsBlock) {
  constexpr std::uint64_t kSide = 1024, kElements = kSide * kSide;
  QuantizedWeight weight;
  weight.rows = weight.columns = weight.block_rows = weight.block_columns = kSide;
  weight.components = {
      {QuantRole::Codes, 0, DType::F8_E4M3, kSide, kSide, QuantAxis::Rows, 1, 1, "codes"},
      {QuantRole::Scales, 1, DType::F32, 1, 1, QuantAxis::None, 1, 1, "scale"}};
  RowBatch batch;
  batch.rows = batch.columns = batch.width = kSide;
  batch.source = &weight;
  const StagingRing ring{1, 4u << 20};
  ASSERT_LE(divide_batch_memory(batch).bytes, ring.block_bytes - batch_begin(ring.block_bytes));

  std::vector<std::byte> bytes = random_bytes(kElements);
  for (std::byte& code : bytes) code &= std::byte{0xbf};  // no NaN
  const float scale = 0.25f;
  const auto scale_bytes = std::as_bytes(std::span(&scale, 1));
  const std::vector<std::span<const std::byte>> boxes = {bytes, scale_bytes};
  std::vector<float> expected(kElements);
  dequantize_rows(weight, 0, kSide, boxes, expected.data());

  UnitReads plan;
  const std::vector<std::uint64_t> offsets = box_offsets(source_boxes(weight, 0, kSide));
  plan.pieces = {{.offset = 0,
                  .bytes = kElements,
                  .from = DType::F8_E4M3,
                  .to = DType::F8_E4M3,
                  .elements = kElements,
                  .destination = offsets[0]},
                 {.offset = kElements,
                  .bytes = sizeof scale,
                  .from = DType::F32,
                  .to = DType::F32,
                  .elements = 1,
                  .destination = offsets[1]}};
  plan.reads = {{0, 0, kElements + sizeof scale, 0, 2}};
  plan.tasks = {{0, 1, batch}};
  auto device = this->device();
  Ledger ledger;
  const auto uploaders = device->make_uploaders(ledger, ring);
  const auto out = device.put(std::vector<float>(kElements, 0.0f));
  device->synchronize();
  std::byte* const block = uploaders[0]->block().data();
  std::copy(bytes.begin(), bytes.end(), block);
  std::copy(scale_bytes.begin(), scale_bytes.end(), block + kElements);
  const StoredRead stored = uploaders[0]->store(
      plan, plan.tasks[0], plan.reads[0], uploaders[0]->block().first(kElements + sizeof scale),
      reinterpret_cast<std::byte*>(out.get()));
  EXPECT_EQ(stored.bytes, kElements * sizeof(float));
  EXPECT_TRUE(device.get(out) == expected);
}

}  // namespace
}  // namespace initrt::test
