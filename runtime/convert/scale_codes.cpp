#include "runtime/convert/scale_codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/convert/decode.h"
#include "runtime/convert/dynamic_map.h"
#include "runtime/convert/make_dynamic_map.h"
#include "sharding/checked.h"

namespace initrt {
namespace {

__extension__ using Wide = unsigned __int128;

// Numbers that the map is searched for.
constexpr std::uint32_t kSteps = 65536;

// bitsandbytes does not search for each number, but once for each of 65536 of them, and rounds
// numbers to these.
std::array<std::uint8_t, kSteps> make_steps() {
  const float* const map = dynamic_map();
  std::array<std::uint8_t, kSteps> steps{};
  std::size_t code = 0;
  for (std::uint32_t i = 0; i < kSteps; ++i) {
    const float value = -1.0f + 2.0f * static_cast<float>(i) / static_cast<float>(kSteps - 1);
    while (code < 255 && 0.5f * (map[code] + map[code + 1]) < value) ++code;
    steps.at(i) = static_cast<std::uint8_t>(code);
  }
  return steps;
}

const std::array<std::uint8_t, kSteps>& steps() {
  static const std::array<std::uint8_t, kSteps> made = make_steps();
  return made;
}

std::uint8_t code_of(const std::array<std::uint8_t, kSteps>& steps, float value) {
  // 0 / 0 in a block of denormals: bitsandbytes' conversion makes 0 of it on x86.
  if (std::isnan(value)) return steps[0];
  const float within = std::clamp(value, -1.0f, 1.0f);
  const float step = (within + 1.0f) * 0.5f * (kSteps - 1) + 0.5f;  // rounded as bitsandbytes does
  return steps[static_cast<std::uint32_t>(step)];
}

// Adds to words from `word` on.
void add_at(std::span<std::uint64_t> words, std::size_t word, std::uint64_t value) {
  for (; value != 0 && word < words.size(); ++word) {
    value = __builtin_add_overflow(words[word], value, &words[word]) ? 1 : 0;
  }
}

}  // namespace

const float* dynamic_map() {
  static constexpr DynamicMap kMap = make_dynamic_map();
  return kMap.of;
}

SumWords exact_sum(std::span<const float> scales) {
  // By exponent the sum of the mantissas, of 24 bits.
  std::array<std::uint64_t, 256> sums{};
  for (const float scale : scales) {
    const auto bits = std::bit_cast<std::uint32_t>(scale);
    const std::uint32_t exponent = bits >> 23 & 255;
    sums[exponent] += (bits & 0x7fffff) | (exponent == 0 ? 0 : 0x800000);
  }
  SumWords words{};
  for (std::uint32_t exponent = 0; exponent < sums.size(); ++exponent) {
    const std::uint32_t place = std::max(exponent, 1u) - 1;  // of the mantissa's lowest bit
    const auto shift = place % 64;
    add_at(words, place / 64, sums[exponent] << shift);
    if (shift > 0) add_at(words, place / 64 + 1, sums[exponent] >> (64 - shift));
  }
  return words;
}

void add_to(SumWords& sum, const SumWords& other) {
  for (std::size_t word = 0; word < sum.size(); ++word) add_at(sum, word, other[word]);
}

float mean_of(const SumWords& sum, std::uint64_t count) {
  if (count == 0) return 0.0f;
  // The quotient with 64 bits behind the lowest place, from the highest word down.
  std::array<std::uint64_t, kSumWords + 1> quotient{};
  Wide rest = 0;
  for (std::size_t word = quotient.size(); word-- > 0;) {
    rest = rest << 64 | (word == 0 ? 0 : sum.at(word - 1));
    quotient.at(word) = static_cast<std::uint64_t>(rest / count);
    rest %= count;
  }
  std::size_t top = quotient.size() * 64;
  while (top > 0 && (quotient.at((top - 1) / 64) >> ((top - 1) % 64) & 1) == 0) --top;
  // Bits [low, top) are kept: 24, or those that a denormal has.
  const std::size_t low = std::max<std::size_t>(top, 64 + 24) - 24;
  const auto bit = [&](std::size_t at) { return quotient.at(at / 64) >> (at % 64) & 1; };
  std::uint64_t kept = 0;
  for (std::size_t at = low; at < top; ++at) kept |= bit(at) << (at - low);
  bool below = rest != 0;
  for (std::size_t at = 0; at + 1 < low; ++at) below = below || bit(at) != 0;
  if (bit(low - 1) != 0 && (below || kept % 2 != 0)) ++kept;
  return std::ldexp(static_cast<float>(kept), static_cast<int>(low) - 64 - 149);
}

std::vector<float> block_magnitudes(std::span<const float> scales, std::uint64_t begin,
                                    float offset) {
  if (scales.empty()) return {};
  const std::uint64_t first = begin / kScaleBlock;
  std::vector<float> magnitudes(divide_up(begin + scales.size(), kScaleBlock) - first);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    float& magnitude = magnitudes[(begin + i) / kScaleBlock - first];
    magnitude = std::max(magnitude, std::abs(scales[i] - offset));
  }
  return magnitudes;
}

void code_scales(std::span<const float> scales, std::uint64_t first_row, std::uint64_t columns,
                 float offset, std::span<const float> magnitudes, std::byte* out) {
  const CodedScaleRow row = coded_scale_row(columns);
  if (row.scales == 0) return;
  const std::array<std::uint8_t, kSteps>& codes = steps();
  const std::uint64_t first_block = first_row * row.scales / kScaleBlock;
  std::vector<float> of_row(row.scales);  // which may lie where the codes go
  for (std::uint64_t r = 0; r < scales.size() / row.scales; ++r, out += row.bytes()) {
    std::ranges::copy(scales.subspan(r * row.scales, row.scales), of_row.begin());
    const std::uint64_t begin = (first_row + r) * row.scales, block = begin / kScaleBlock;
    const std::uint64_t blocks = divide_up(begin + row.scales, kScaleBlock) - block;
    std::memset(out, 0, row.bytes());
    std::memcpy(out, &offset, sizeof offset);
    const std::span<const float> own = magnitudes.subspan(block - first_block, blocks);
    std::memcpy(out + row.magnitudes_at(), own.data(), own.size_bytes());
    const std::uint64_t phase = begin % kScaleBlock;
    out[CodedScaleRow::kPhase] = static_cast<std::byte>(phase);
    for (std::uint64_t i = 0; i < row.scales; ++i) {
      const float magnitude = own[(phase + i) / kScaleBlock];
      const float value = of_row[i] - offset;
      out[CodedScaleRow::kCodes + i] = static_cast<std::byte>(
          magnitude == 0.0f ? 0 : code_of(codes, value * (1.0f / magnitude)));
    }
  }
}

void code_all_scales(std::span<const float> scales, std::uint64_t columns, std::byte* out) {
  const float offset = mean_of(exact_sum(scales), scales.size());
  code_scales(scales, 0, columns, offset, block_magnitudes(scales, 0, offset), out);
}

void decode_scales(const std::byte* row, std::uint64_t columns, float* out) {
  const CodedScaleRow places = coded_scale_row(columns);
  const auto offset = decode::load<float>(row);
  const std::uint64_t phase = decode::u8(row + CodedScaleRow::kPhase);
  for (std::uint64_t i = 0; i < places.scales; ++i) {
    const auto magnitude = decode::load<float>(row + places.magnitudes_at() +
                                               (phase + i) / kScaleBlock * sizeof(float));
    out[i] = dynamic_map()[decode::u8(row + CodedScaleRow::kCodes + i)] * magnitude + offset;
  }
}

}  // namespace initrt
