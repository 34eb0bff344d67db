// Conversion kernels: one per (from, to) pair and instruction set, chosen once per call.
#include "runtime/convert/convert.h"

#include <algorithm>
#include <array>

#include "runtime/convert/decode.h"
#include "runtime/convert/instruction_sets.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kTile = 256;  // floats between decoding and narrowing: 1 KiB, stays in L1

/// Where a compile-time DType's layout is needed; checked against dtype.cpp's table by the tests.
struct Shape {
  std::uint64_t elements, bytes;
};
constexpr Shape shape_of(DType type) {
  switch (type) {
    case DType::F64:
      return {1, 8};
    case DType::F32:
      return {1, 4};
    case DType::F16:
    case DType::BF16:
      return {1, 2};
    case DType::F8_E4M3:
    case DType::F8_E5M2:
    case DType::F8_E4M3FNUZ:
    case DType::F8_E5M2FNUZ:
      return {1, 1};
    case DType::Q4_0:
    case DType::IQ4_NL:
      return {32, 18};
    case DType::MXFP4:
      return {32, 17};
    case DType::Q4_1:
      return {32, 20};
    case DType::Q5_0:
      return {32, 22};
    case DType::Q5_1:
      return {32, 24};
    case DType::Q8_0:
      return {32, 34};
    case DType::Q2_K:
      return {256, 84};
    case DType::Q3_K:
      return {256, 110};
    case DType::Q4_K:
      return {256, 144};
    case DType::Q5_K:
      return {256, 176};
    case DType::Q6_K:
      return {256, 210};
    default:
      return {0, 0};
  }
}

template <DType To>
INITRT_INLINE void store(const float* tile, std::uint64_t elements, std::byte* out) {
  if constexpr (To == DType::F32) {
    std::memcpy(out, tile, elements * sizeof(float));
  } else {
    for (std::uint64_t i = 0; i < elements; ++i) {
      const std::uint16_t narrow =
          To == DType::BF16 ? decode::to_bf16(tile[i]) : decode::to_f16(tile[i]);
      std::memcpy(out + i * sizeof narrow, &narrow, sizeof narrow);
    }
  }
}

/// Whole blocks, tile by tile. The tile's inner loop has a constant length, which is what lets the
/// compiler unroll and vectorize it; the rest comes after.
template <DType From, DType To>
INITRT_INLINE void convert_blocks(const std::byte* in, std::uint64_t blocks, std::byte* out) {
  constexpr Shape kShape = shape_of(From);
  constexpr std::uint64_t kOut = shape_of(To).bytes;
  constexpr std::uint64_t kTileBlocks = kTile / kShape.elements;
  alignas(64) float tile[kTile];
  for (; blocks >= kTileBlocks; blocks -= kTileBlocks) {
    for (std::uint64_t b = 0; b < kTileBlocks; ++b) {
      decode::block<From>(in + b * kShape.bytes, tile + b * kShape.elements);
    }
    store<To>(tile, kTile, out);
    in += kTileBlocks * kShape.bytes;
    out += kTile * kOut;
  }
  for (std::uint64_t b = 0; b < blocks; ++b) {
    decode::block<From>(in + b * kShape.bytes, tile + b * kShape.elements);
  }
  store<To>(tile, blocks * kShape.elements, out);
}

using Kernel = void (*)(const std::byte* in, std::uint64_t blocks, std::byte* out);

template <DType From, DType To>
void portable(const std::byte* in, std::uint64_t blocks, std::byte* out) {
  convert_blocks<From, To>(in, blocks, out);
}

#if defined(__x86_64__)
template <DType From, DType To>
[[gnu::target("avx2")]] void avx2(const std::byte* in, std::uint64_t blocks, std::byte* out) {
  convert_blocks<From, To>(in, blocks, out);
}

template <DType From, DType To>
[[gnu::target(INITRT_AVX512)]] void avx512(const std::byte* in, std::uint64_t blocks,
                                           std::byte* out) {
  convert_blocks<From, To>(in, blocks, out);
}
#endif

template <DType From, DType To>
Kernel choose_instructions() {
#if defined(__x86_64__)
  if (has_avx512()) return avx512<From, To>;
  if (__builtin_cpu_supports("avx2")) return avx2<From, To>;
#endif
  return portable<From, To>;
}

template <DType From>
Kernel choose_to(DType to) {
  switch (to) {
    case DType::F32:
      return choose_instructions<From, DType::F32>();
    case DType::BF16:
      return choose_instructions<From, DType::BF16>();
    case DType::F16:
      return choose_instructions<From, DType::F16>();
    default:
      return nullptr;
  }
}

/// The kernel for a pair, or nullptr where there is none.
Kernel choose(DType from, DType to) {
  switch (from) {
    case DType::F64:
      return choose_to<DType::F64>(to);
    case DType::F32:
      return choose_to<DType::F32>(to);
    case DType::F16:
      return choose_to<DType::F16>(to);
    case DType::BF16:
      return choose_to<DType::BF16>(to);
    case DType::F8_E4M3:
      return choose_to<DType::F8_E4M3>(to);
    case DType::F8_E5M2:
      return choose_to<DType::F8_E5M2>(to);
    case DType::F8_E4M3FNUZ:
      return choose_to<DType::F8_E4M3FNUZ>(to);
    case DType::F8_E5M2FNUZ:
      return choose_to<DType::F8_E5M2FNUZ>(to);
    case DType::Q4_0:
      return choose_to<DType::Q4_0>(to);
    case DType::Q4_1:
      return choose_to<DType::Q4_1>(to);
    case DType::Q5_0:
      return choose_to<DType::Q5_0>(to);
    case DType::Q5_1:
      return choose_to<DType::Q5_1>(to);
    case DType::Q8_0:
      return choose_to<DType::Q8_0>(to);
    case DType::Q2_K:
      return choose_to<DType::Q2_K>(to);
    case DType::Q3_K:
      return choose_to<DType::Q3_K>(to);
    case DType::Q4_K:
      return choose_to<DType::Q4_K>(to);
    case DType::Q5_K:
      return choose_to<DType::Q5_K>(to);
    case DType::Q6_K:
      return choose_to<DType::Q6_K>(to);
    case DType::IQ4_NL:
      return choose_to<DType::IQ4_NL>(to);
    case DType::MXFP4:
      return choose_to<DType::MXFP4>(to);
    default:
      return nullptr;
  }
}

/// Elements [skip, skip + elements) of the one block at `in`.
void convert_part(Kernel kernel, const std::byte* in, std::uint64_t skip, std::uint64_t elements,
                  std::byte* out, std::uint64_t out_bytes) {
  std::array<std::byte, 256 * sizeof(float)> whole;
  kernel(in, 1, whole.data());
  std::memcpy(out, whole.data() + skip * out_bytes, elements * out_bytes);
}

}  // namespace

bool can_convert(DType from, DType to) { return from == to || choose(from, to) != nullptr; }

void convert(std::span<const std::byte> in, DType from, std::uint32_t skip, std::uint64_t elements,
             std::byte* out, DType to) {
  if (elements == 0) return;
  const DTypeInfo& source = info(from);
  const std::uint64_t block = source.block_elements;
  const std::uint64_t needed = (skip + elements + block - 1) / block * source.block_bytes;
  if (skip >= block || in.size() < needed) {
    fail("cannot convert {} elements of {} from element {}: {} bytes given, {} needed", elements,
         source.name, skip, in.size(), needed);
  }
  if (from == to) {
    if (skip != 0 || elements % block != 0) {
      fail("cannot copy a part of a {} block: elements {} to {}", source.name, skip,
           skip + elements);
    }
    std::memcpy(out, in.data(), needed);
    return;
  }
  const Kernel kernel = choose(from, to);
  if (kernel == nullptr) fail("no conversion from {} to {}", source.name, name(to));

  const std::byte* next = in.data();
  const std::uint64_t out_bytes = info(to).block_bytes;
  if (skip != 0) {
    const std::uint64_t part = std::min<std::uint64_t>(block - skip, elements);
    convert_part(kernel, next, skip, part, out, out_bytes);
    next += source.block_bytes;
    out += part * out_bytes;
    elements -= part;
  }
  const std::uint64_t whole = elements / block;
  kernel(next, whole, out);
  if (elements % block != 0) {
    convert_part(kernel, next + whole * source.block_bytes, 0, elements % block,
                 out + whole * block * out_bytes, out_bytes);
  }
}

}  // namespace initrt
