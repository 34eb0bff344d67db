// The conversion kernels against initrt::convert(), bit for bit.
#include <algorithm>

#include "runtime/convert/convert.h"
#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

constexpr DType kPlain[] = {DType::F64,     DType::F32,     DType::F16,         DType::BF16,
                            DType::F8_E4M3, DType::F8_E5M2, DType::F8_E4M3FNUZ, DType::F8_E5M2FNUZ};
constexpr DType kQuantized[] = {DType::Q4_0, DType::Q4_1, DType::Q5_0,   DType::Q5_1,
                                DType::Q8_0, DType::Q2_K, DType::Q3_K,   DType::Q4_K,
                                DType::Q5_K, DType::Q6_K, DType::IQ4_NL, DType::MXFP4};

/// Pieces of one read, converted on the device and by convert_read().
class CudaConvert : public CudaKernels {
 protected:
  /// @param misaligned bytes, of the read's place in device memory
  static void expect_as_on_host(const std::vector<Piece>& pieces,
                                const std::vector<std::byte>& read, std::size_t out_bytes, DType to,
                                std::size_t misaligned = 0) {
    std::vector<std::byte> expected(out_bytes, std::byte{0x5a});
    UnitReads plan;
    plan.pieces = pieces;
    for (Piece& piece : plan.pieces) piece.to = to;
    plan.reads.push_back({0, 0, read.size(), 0, static_cast<std::uint32_t>(pieces.size())});
    const Guarded from(read, misaligned);
    const Guarded out(expected);
    convert_read(plan, plan.reads[0], read, expected.data());

    std::vector<cuda::ConvertPiece> there;
    std::uint64_t longest = 0;
    for (const Piece& piece : pieces) {
      there.push_back({from.get() + piece.offset, out.get() + piece.destination, piece.elements,
                       piece.source_step, piece.destination_step, piece.skip, piece.map});
      longest = std::max(longest, piece.elements);
    }
    const Guarded there_too(there);
    cuda::convert(nullptr, pieces[0].from, to, there_too.get(), there.size(), longest);
    EXPECT_EQ(out.read(), expected) << name(pieces[0].from) << " to " << name(to);
  }

  /// `elements` elements from a file's start, to the destination's.
  static Piece whole(DType from, std::uint64_t elements, std::uint32_t skip = 0) {
    const std::uint64_t block = info(from).block_elements;
    Piece piece;
    piece.bytes = (skip + elements + block - 1) / block * info(from).block_bytes;
    piece.skip = skip;
    piece.from = from;
    piece.elements = elements;
    return piece;
  }

  /// Random bits, but no NaN of F64, which the host narrows in a way of its own.
  std::vector<std::byte> random_elements(DType from, std::size_t elements) {
    if (from != DType::F64) return random_bytes(bytes_of(from, elements));
    std::vector<std::byte> bytes(elements * sizeof(double));
    for (std::size_t i = 0; i < elements; ++i) {
      const double value = std::ldexp(random(1)[0], static_cast<int>(below(300)) - 150);
      std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
    }
    return bytes;
  }
};

TEST_F(CudaConvert, PlainElementsHaveTheBitsOfTheHost) {
  for (const DType from : kPlain) {
    for (const DType to : dtypes) {
      ASSERT_TRUE(cuda::can_convert(from, to));
      for (const std::size_t elements : {1, 31, 2048, 5001}) {
        for (const std::size_t misaligned : {0, 1, 2}) {
          expect_as_on_host({whole(from, elements)}, random_elements(from, elements),
                            bytes_of(to, elements), to, misaligned);
        }
      }
    }
  }
}

TEST_F(CudaConvert, All16BitPatternsHaveTheBitsOfTheHost) {
  std::vector<std::byte> all(2 << 16);
  for (std::uint32_t i = 0; i < 1 << 16; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    std::memcpy(all.data() + 2 * i, &bits, 2);
  }
  for (const DType from : {DType::F16, DType::BF16}) {
    for (const DType to : dtypes) {
      expect_as_on_host({whole(from, 1 << 16)}, all, bytes_of(to, 1 << 16), to);
    }
  }
}

TEST_F(CudaConvert, QuantizedBlocksHaveTheBitsOfTheHost) {
  for (const DType from : kQuantized) {
    const std::uint32_t block = info(from).block_elements;
    for (const DType to : dtypes) {
      ASSERT_TRUE(cuda::can_convert(from, to));
      const std::uint64_t most = 70 * block;
      const auto bytes = random_bytes(bytes_of(from, most));
      struct Case {
        std::uint32_t skip;
        std::uint64_t elements;
      };
      for (const auto [skip, elements] :
           {Case{0, 1}, Case{0, block}, Case{block - 1, 2}, Case{5, 33ull * block},
            Case{block - 1, 32ull * block + 1}, Case{0, most}}) {
        expect_as_on_host({whole(from, elements, skip)}, bytes, bytes_of(to, elements), to,
                          skip % 3);
      }
    }
  }
}

TEST_F(CudaConvert, StepsAreTakenOnBothSidesAndMapsRoundedOnce) {
  for (const DType from : kPlain) {
    for (const DType to : dtypes) {
      for (const float add : {0.0f, 1.0f}) {
        const std::size_t elements = 3000;
        const auto bytes = random_elements(from, elements * 3);
        Piece piece = whole(from, elements);
        piece.source_step = 3;
        piece.bytes = bytes.size();
        piece.destination_step = 2;
        piece.map.add = add;
        if (add != 0 && from != DType::F64) continue;  // NaN by arithmetic: below
        expect_as_on_host({piece}, bytes, bytes_of(to, elements * 2), to, 1);
      }
    }
  }
  for (const DType from : dtypes) {
    auto values = random(1000);
    const auto bytes = stored(values, from);
    Piece piece = whole(from, 1000);
    for (const ElementMap& map : {ElementMap{1.0f}, ElementMap{0, true}}) {
      piece.map = map;
      for (const DType to : dtypes) expect_as_on_host({piece}, bytes, bytes_of(to, 1000), to);
    }
  }
}

TEST_F(CudaConvert, TurnedMatricesAreColumnsWhereverTheyBegin) {
  for (const DType from : {DType::F32, DType::BF16, DType::F8_E4M3}) {
    for (const DType to : dtypes) {
      for (const std::size_t lines : {2, 32, 33, 70}) {
        for (const std::size_t length : {1, 40, 2100}) {
          const std::size_t columns = lines + 3, out = bytes_of(to, 1);
          std::vector<Piece> pieces;
          for (std::size_t line = 0; line < lines; ++line) {
            Piece piece = whole(from, length);
            piece.offset = bytes_of(from, line * length);
            piece.destination = (line + 2) * out;
            piece.destination_step = columns;
            pieces.push_back(piece);
          }
          const auto bytes = random_elements(from, lines * length);
          expect_as_on_host(pieces, bytes, bytes_of(to, columns * length + 2), to);
          if (lines < 32) continue;
          std::swap(pieces[3].destination, pieces[7].destination);  // not all in order
          pieces[9].elements -= pieces[9].elements > 1 ? 1 : 0;
          expect_as_on_host(pieces, bytes, bytes_of(to, columns * length + 2), to);
        }
      }
    }
  }
}

TEST_F(CudaConvert, ManyPiecesOfAnyLengthGoToTheirPlaces) {
  for (const DType from : {DType::BF16, DType::F32, DType::Q8_0, DType::Q4_K}) {
    std::vector<Piece> pieces;
    std::uint64_t offset = 0, destination = 0;
    for (int i = 0; i < 100; ++i) {
      const std::uint32_t block = info(from).block_elements;
      Piece piece =
          whole(from, 1 + below(i % 10 == 0 ? 5000 : 50), static_cast<std::uint32_t>(below(block)));
      piece.offset = offset;
      piece.destination = destination;
      offset += piece.bytes + below(3);
      destination += bytes_of(DType::BF16, piece.elements + below(3));
      pieces.push_back(piece);
    }
    expect_as_on_host(pieces, random_bytes(offset), destination, DType::BF16);
  }
}

TEST_F(CudaConvert, OtherPairsAreNotConverted) {
  EXPECT_FALSE(cuda::can_convert(DType::I32, DType::F32));
  EXPECT_FALSE(cuda::can_convert(DType::F32, DType::F64));
  EXPECT_FALSE(cuda::can_convert(DType::Q4_0, DType::Q4_0));
}

}  // namespace
}  // namespace initrt::test
