#include "sharding/philox.h"

#include <gtest/gtest.h>

namespace initrt {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Known answers for philox4x32 with 10 rounds from Random123's kat_vectors, the authors' library.
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32(PhiloxCounter{0, 0, 0, 0}, PhiloxKey{0, 0}),
            (Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  constexpr std::uint32_t kOnes = 0xFFFFFFFF;
  EXPECT_EQ(philox4x32(PhiloxCounter{kOnes, kOnes, kOnes, kOnes}, PhiloxKey{kOnes, kOnes}),
            (Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox4x32(PhiloxCounter{0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344},
                       PhiloxKey{0xA4093822, 0x299F31D0}),
            (Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Philox, SixtyFourBitArgumentsAreLowWordFirst) {
  EXPECT_EQ(philox4x32(0x299F31D0A4093822ull, 0x85A308D3243F6A88ull, 0x0370734413198A2Eull),
            (Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

}  // namespace
}  // namespace initrt
