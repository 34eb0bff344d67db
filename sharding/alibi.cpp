#include "sharding/alibi.h"

#include <bit>
#include <cmath>

namespace initrt {
namespace {

// To nearest even. @param x finite
float rounded_to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}

}  // namespace

Alibi alibi_of(std::uint32_t heads, float most) {
  Alibi alibi;
  alibi.heads = std::bit_floor(heads);
  alibi.exponent = -most / static_cast<float>(alibi.heads);
  return alibi;
}

float alibi_rate(const Alibi& alibi, std::uint32_t head) {
  const double steps = head < alibi.heads ? head + 1.0 : head - alibi.heads + 0.5;
  const auto rate = static_cast<float>(std::exp2(alibi.exponent * steps));
  return alibi.rounded ? rounded_to_bf16(rate) : rate;
}

}  // namespace initrt
