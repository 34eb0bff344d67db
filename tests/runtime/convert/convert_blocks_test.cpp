// Block-quantized dtypes: parts of blocks, narrowing, and a few blocks worked out by hand. Whole
// blocks of every type are compared with the gguf package in convert_golden_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "runtime/convert/convert.h"
#include "tests/runtime/convert/reference_convert.h"

namespace initrt {
namespace {

using Bytes = std::vector<std::byte>;

constexpr DType kBlockTypes[] = {DType::Q4_0, DType::Q4_1, DType::Q5_0,   DType::Q5_1,
                                 DType::Q8_0, DType::Q2_K, DType::Q3_K,   DType::Q4_K,
                                 DType::Q5_K, DType::Q6_K, DType::IQ4_NL, DType::MXFP4};

Bytes bytes_of_text(const std::vector<int>& values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

std::vector<float> decoded(const Bytes& block, DType from) {
  std::vector<float> values(info(from).block_elements);
  convert(block, from, 0, values.size(), reinterpret_cast<std::byte*>(values.data()), DType::F32);
  return values;
}

TEST(ConvertBlocks, Q4_0ByHand) {
  // d = 0.5 (0x3800); byte j holds element j below and element j + 16 above.
  Bytes block = bytes_of_text({0x00, 0x38});
  for (int j = 0; j < 16; ++j) block.push_back(static_cast<std::byte>(j | (15 - j) << 4));
  const std::vector<float> values = decoded(block, DType::Q4_0);
  for (int j = 0; j < 16; ++j) {
    EXPECT_EQ(values[static_cast<std::size_t>(j)], 0.5f * static_cast<float>(j - 8));
    EXPECT_EQ(values[static_cast<std::size_t>(j) + 16], 0.5f * static_cast<float>(7 - j));
  }
}

TEST(ConvertBlocks, Q4_1ByHand) {
  // d = 0.25 (0x3400), m = -3 (0xc200).
  Bytes block = bytes_of_text({0x00, 0x34, 0x00, 0xc2});
  for (int j = 0; j < 16; ++j) block.push_back(static_cast<std::byte>(j | 0x90));
  const std::vector<float> values = decoded(block, DType::Q4_1);
  for (int j = 0; j < 16; ++j) {
    EXPECT_EQ(values[static_cast<std::size_t>(j)], 0.25f * static_cast<float>(j) - 3.0f);
    EXPECT_EQ(values[static_cast<std::size_t>(j) + 16], 0.25f * 9.0f - 3.0f);
  }
}

TEST(ConvertBlocks, Q8_0ByHand) {
  // d = 2 (0x4000), codes -16 ... 15.
  Bytes block = bytes_of_text({0x00, 0x40});
  for (int j = 0; j < 32; ++j) block.push_back(static_cast<std::byte>(j - 16));
  const std::vector<float> values = decoded(block, DType::Q8_0);
  for (int j = 0; j < 32; ++j) {
    EXPECT_EQ(values[static_cast<std::size_t>(j)], 2.0f * static_cast<float>(j - 16));
  }
}

/// `count` random blocks. The highest bit of a half's exponent is cleared wherever one could lie,
/// so that every scale is finite.
Bytes random_blocks(DType type, std::uint64_t count, std::uint64_t seed) {
  std::mt19937_64 rng(seed);
  Bytes bytes(count * info(type).block_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng() & 0xbf);
  return bytes;
}

TEST(ConvertBlocks, AnyPartOfBlocksIsThatPartOfTheWhole) {
  std::mt19937_64 rng(1);
  for (const DType from : kBlockTypes) {
    const std::uint64_t block = info(from).block_elements, block_bytes = info(from).block_bytes;
    const std::uint64_t blocks = 1600 / block;
    const Bytes in = random_blocks(from, blocks, 2);
    for (const DType to : {DType::F32, DType::BF16, DType::F16}) {
      const std::uint64_t out_bytes = info(to).block_bytes;
      Bytes whole(blocks * block * out_bytes);
      convert(in, from, 0, blocks * block, whole.data(), to);
      for (int round = 0; round < 200; ++round) {
        const std::uint64_t first = rng() % (blocks * block);
        const std::uint64_t count = 1 + rng() % (blocks * block - first);
        // The blocks that hold the part, at an odd address, and nothing after them.
        const std::uint64_t first_block = first / block;
        const std::uint64_t end_block = (first + count - 1) / block + 1;
        Bytes part(1);
        part.insert(part.end(), in.begin() + static_cast<std::ptrdiff_t>(first_block * block_bytes),
                    in.begin() + static_cast<std::ptrdiff_t>(end_block * block_bytes));
        Bytes out(1 + count * out_bytes + 16, std::byte{0xee});
        convert(std::span(part).subspan(1), from, static_cast<std::uint32_t>(first % block), count,
                out.data() + 1, to);
        ASSERT_TRUE(std::equal(out.begin() + 1, out.end() - 16,
                               whole.begin() + static_cast<std::ptrdiff_t>(first * out_bytes)))
            << name(from) << " to " << name(to) << ": " << count << " from " << first;
        ASSERT_EQ(std::count(out.end() - 16, out.end(), std::byte{0xee}), 16);
      }
    }
  }
}

TEST(ConvertBlocks, NarrowingRoundsTheFloatValues) {
  for (const DType from : kBlockTypes) {
    const std::uint64_t elements = 100 * info(from).block_elements;
    const Bytes in = random_blocks(from, 100, 3);
    std::vector<float> values(elements);
    convert(in, from, 0, elements, reinterpret_cast<std::byte*>(values.data()), DType::F32);
    for (const auto& [to, format] :
         {std::pair{DType::BF16, testing::kBF16}, {DType::F16, testing::kF16}}) {
      std::vector<std::uint16_t> narrow(elements);
      convert(in, from, 0, elements, reinterpret_cast<std::byte*>(narrow.data()), to);
      for (std::size_t i = 0; i < elements; ++i) {
        ASSERT_FALSE(std::isnan(values[i]));
        ASSERT_EQ(narrow[i], testing::narrow(static_cast<double>(values[i]), format)) << name(from);
      }
    }
  }
}

/// Lines of blocks that become columns of `out`, one after the other from column 1 on.
/// @param apart columns between two of them
std::vector<float> as_columns(const Bytes& in, DType from, std::uint64_t columns,
                              std::uint64_t elements, std::uint32_t skip, std::uint64_t apart) {
  const std::uint64_t line = in.size() / columns, width = 1 + columns * apart;
  UnitReads plan;
  for (std::uint64_t column = 0; column < columns; ++column) {
    Piece piece;
    piece.offset = column * line;
    piece.bytes = line;
    piece.skip = skip;
    piece.from = from;
    piece.elements = elements;
    piece.destination = (1 + column * apart) * sizeof(float);
    piece.destination_step = width;
    plan.pieces.push_back(piece);
  }
  const Read read{0, 0, in.size(), 0, static_cast<std::uint32_t>(columns)};
  std::vector<float> out(elements * width, -1.0f);
  convert_read(plan, read, in, reinterpret_cast<std::byte*>(out.data()));
  return out;
}

// As convert writes matrices that the file has the other way round.
TEST(ConvertBlocks, LinesThatBecomeColumnsAreWholeLines) {
  constexpr std::uint64_t kColumns = 5;
  for (const DType from : kBlockTypes) {
    const std::uint64_t block = info(from).block_elements, line = 2048;
    const Bytes in = random_blocks(from, kColumns * line / block, 4);
    std::vector<float> whole(kColumns * line);
    convert(in, from, 0, whole.size(), reinterpret_cast<std::byte*>(whole.data()), DType::F32);
    for (const std::uint64_t apart : {1u, 2u}) {
      for (const std::uint32_t skip : {0u, 5u}) {
        const std::uint64_t elements = line - skip - 3, width = 1 + kColumns * apart;
        const std::vector<float> out = as_columns(in, from, kColumns, elements, skip, apart);
        for (std::uint64_t i = 0; i < elements; ++i) {
          for (std::uint64_t column = 0; column < kColumns; ++column) {
            ASSERT_EQ(out[i * width + 1 + column * apart], whole[column * line + skip + i])
                << name(from) << ", " << apart << " apart, row " << i << ", column " << column;
          }
          ASSERT_EQ(out[i * width], -1.0f);
        }
      }
    }
  }
}

}  // namespace
}  // namespace initrt
