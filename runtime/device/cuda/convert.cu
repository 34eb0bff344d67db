// Elements of a checkpoint to elements of a unit, with the bits of initrt::convert(). A block takes
// a span of elements of some neighbouring pieces. Where these are neighbouring columns (the lines
// of a matrix that is turned while it streams) they go through shared memory, so that neighbouring
// threads write neighbours; else an element that is apart from the next costs a memory transaction
// of its own.
//
// Destinations are aligned to their elements. A NaN that arithmetic makes of one may have other
// bits than on the host: F64's, and those of block scales.
#include <algorithm>

#include "runtime/convert/decode.h"
#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {
namespace {

constexpr std::uint64_t kSpan = 2048;  // elements of a piece of a plain dtype for each block
constexpr std::uint32_t kPieces = 32;  // for each block
constexpr std::uint32_t kWarps = kThreads / kWarp;
static_assert(kPieces == kWarp);

/// Calls f.template operator()<dtype>() for plain dtypes and for block-quantized ones.
/// @returns whether it is one of them
template <class Plain, class Quantized>
bool with_source(DType from, Plain plain, Quantized quantized) {
  switch (from) {
    case DType::F64:
      return plain.template operator()<DType::F64>(), true;
    case DType::F32:
      return plain.template operator()<DType::F32>(), true;
    case DType::F16:
      return plain.template operator()<DType::F16>(), true;
    case DType::BF16:
      return plain.template operator()<DType::BF16>(), true;
    case DType::F8_E4M3:
      return plain.template operator()<DType::F8_E4M3>(), true;
    case DType::F8_E5M2:
      return plain.template operator()<DType::F8_E5M2>(), true;
    case DType::F8_E4M3FNUZ:
      return plain.template operator()<DType::F8_E4M3FNUZ>(), true;
    case DType::F8_E5M2FNUZ:
      return plain.template operator()<DType::F8_E5M2FNUZ>(), true;
    case DType::Q4_0:
      return quantized.template operator()<DType::Q4_0, 32, 18>(), true;
    case DType::Q4_1:
      return quantized.template operator()<DType::Q4_1, 32, 20>(), true;
    case DType::Q5_0:
      return quantized.template operator()<DType::Q5_0, 32, 22>(), true;
    case DType::Q5_1:
      return quantized.template operator()<DType::Q5_1, 32, 24>(), true;
    case DType::Q8_0:
      return quantized.template operator()<DType::Q8_0, 32, 34>(), true;
    case DType::IQ4_NL:
      return quantized.template operator()<DType::IQ4_NL, 32, 18>(), true;
    case DType::MXFP4:
      return quantized.template operator()<DType::MXFP4, 32, 17>(), true;
    case DType::Q2_K:
      return quantized.template operator()<DType::Q2_K, 256, 84>(), true;
    case DType::Q3_K:
      return quantized.template operator()<DType::Q3_K, 256, 110>(), true;
    case DType::Q4_K:
      return quantized.template operator()<DType::Q4_K, 256, 144>(), true;
    case DType::Q5_K:
      return quantized.template operator()<DType::Q5_K, 256, 176>(), true;
    case DType::Q6_K:
      return quantized.template operator()<DType::Q6_K, 256, 210>(), true;
    default:
      return false;
  }
}

template <DType Type>
constexpr std::uint32_t plain_bytes() {
  if (Type == DType::F64) return 8;
  if (Type == DType::F32) return 4;
  return Type == DType::F16 || Type == DType::BF16 ? 2 : 1;
}
template <std::uint32_t kBytes>
struct Word;
template <>
struct Word<8> {
  using Type = std::uint64_t;
};
template <>
struct Word<4> {
  using Type = std::uint32_t;
};
template <>
struct Word<2> {
  using Type = std::uint16_t;
};
template <>
struct Word<1> {
  using Type = std::uint8_t;
};

/// The bits of `value` in `to`.
__device__ __forceinline__ std::uint32_t narrow(float value, DType to) {
  if (to == DType::F32) return std::bit_cast<std::uint32_t>(value);
  return to == DType::BF16 ? decode::to_bf16(value) : decode::to_f16(value);
}

__device__ __forceinline__ void write(std::byte* to, std::uint64_t element, DType dtype,
                                      std::uint32_t bits) {
  if (dtype == DType::F32) {
    reinterpret_cast<std::uint32_t*>(to)[element] = bits;
  } else {
    reinterpret_cast<std::uint16_t*>(to)[element] = static_cast<std::uint16_t>(bits);
  }
}

/// Element `i` of a piece of a plain dtype, as bits of `to`.
template <DType From>
__device__ __forceinline__ std::uint32_t read_as(const ConvertPiece& piece, std::uint64_t i,
                                                 DType to) {
  constexpr std::uint32_t kBytes = plain_bytes<From>();
  using Stored = typename Word<kBytes>::Type;
  const std::byte* const from = piece.from + i * piece.source_step * kBytes;
  const bool mapped = piece.map.add != 0 || piece.map.log_of_negated;
  Stored stored;
  if (reinterpret_cast<std::uintptr_t>(piece.from) % kBytes == 0) {
    stored = *reinterpret_cast<const Stored*>(from);
  } else {
    stored = decode::load<Stored>(from);
  }
  if constexpr (From == DType::F32 || From == DType::F16 || From == DType::BF16) {
    if (From == to && !mapped) return stored;  // whatever a NaN's bits are
  }
  float value;
  decode::block<From>(reinterpret_cast<const std::byte*>(&stored), &value);
  return narrow(mapped ? decode::mapped(piece.map, value) : value, to);
}

/// Whether `piece` is line `line` of a matrix whose line 0 is `first`, and a column of the
/// destination next to those of its neighbours.
__device__ bool is_column(const ConvertPiece& first, const ConvertPiece& piece, std::uint32_t line,
                          std::uint32_t out_bytes) {
  return first.destination_step != 1 && piece.source_step == 1 && piece.skip == 0 &&
         piece.destination_step == first.destination_step && piece.elements == first.elements &&
         piece.to == first.to + line * out_bytes;
}

/// Elements [begin, end) of kPieces pieces that are neighbouring columns, in tiles of kWarp by
/// kPieces.
template <DType From>
__device__ void convert_columns(const ConvertPiece* pieces, std::uint64_t begin, std::uint64_t end,
                                DType to) {
  __shared__ std::uint32_t tile[kPieces][kWarp + 1];
  const std::uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  std::byte* const out = pieces[0].to;
  const std::uint64_t step = pieces[0].destination_step;
  for (std::uint64_t i = begin; i < end; i += kWarp) {
    for (std::uint32_t line = warp; line < kPieces; line += kWarps) {
      if (i + lane < end) tile[line][lane] = read_as<From>(pieces[line], i + lane, to);
    }
    __syncthreads();
    for (std::uint32_t element = warp; element < kWarp; element += kWarps) {
      if (i + element < end) write(out, (i + element) * step + lane, to, tile[lane][element]);
    }
    __syncthreads();
  }
}

template <DType From>
__global__ void __launch_bounds__(kThreads)
    convert_plain(const ConvertPiece* pieces, std::uint64_t count, DType to) {
  const std::uint32_t out_bytes = to == DType::F32 ? 4 : 2;
  __shared__ ConvertPiece own[kPieces];
  const std::uint64_t begin = std::uint64_t{blockIdx.x} * kSpan;
  for (std::uint64_t at = std::uint64_t{blockIdx.y} * kPieces; at < count;
       at += std::uint64_t{gridDim.y} * kPieces) {
    const auto here = static_cast<std::uint32_t>(min(std::uint64_t{kPieces}, count - at));
    if (threadIdx.x < here) own[threadIdx.x] = pieces[at + threadIdx.x];
    __syncthreads();
    const bool apart =
        threadIdx.x < kPieces &&
        (threadIdx.x >= here || !is_column(own[0], own[threadIdx.x], threadIdx.x, out_bytes));
    if (__syncthreads_or(apart) == 0) {
      convert_columns<From>(own, begin, min(begin + kSpan, own[0].elements), to);
    } else {
      for (std::uint32_t p = 0; p < here; ++p) {
        const ConvertPiece& piece = own[p];
        const std::uint64_t end = min(begin + kSpan, piece.elements);
        for (std::uint64_t i = begin + threadIdx.x; i < end; i += kThreads) {
          write(piece.to, i * piece.destination_step, to, read_as<From>(piece, i, to));
        }
      }
    }
    __syncthreads();  // before the next pieces take their place
  }
}

/// A warp decodes a block of elements for each lane, in shared memory: what is read and written in
/// device memory is dense.
template <DType From, std::uint32_t kElements, std::uint32_t kBytes>
__global__ void __launch_bounds__(kWarp)
    convert_quantized(const ConvertPiece* pieces, std::uint64_t count, DType to) {
  __shared__ std::byte blocks[kWarp * kBytes];
  __shared__ float values[kWarp][kElements + 1];  // lanes are a bank apart
  const std::uint64_t first = std::uint64_t{blockIdx.x} * kWarp;
  for (std::uint64_t p = blockIdx.y; p < count; p += gridDim.y) {
    const ConvertPiece piece = pieces[p];
    const std::uint64_t in_blocks = (piece.skip + piece.elements + kElements - 1) / kElements;
    if (first >= in_blocks) continue;
    const auto here = static_cast<std::uint32_t>(min(std::uint64_t{kWarp}, in_blocks - first));
    const std::byte* const from = piece.from + first * kBytes;
    for (std::uint32_t i = threadIdx.x; i < here * kBytes; i += kWarp) blocks[i] = from[i];
    __syncwarp();
    if (threadIdx.x < here) {
      decode::block<From>(blocks + threadIdx.x * kBytes, values[threadIdx.x]);
    }
    __syncwarp();
    for (std::uint32_t i = threadIdx.x; i < here * kElements; i += kWarp) {
      const std::uint64_t element = first * kElements + i;
      if (element < piece.skip || element - piece.skip >= piece.elements) continue;
      write(piece.to, (element - piece.skip) * piece.destination_step, to,
            narrow(values[i / kElements][i % kElements], to));
    }
    __syncwarp();  // before the next piece's blocks take their place
  }
}

}  // namespace

bool can_convert(DType from, DType to) {
  if (to != DType::F32 && to != DType::F16 && to != DType::BF16) return false;
  return with_source(
      from, [&]<DType>() {}, [&]<DType, std::uint32_t, std::uint32_t>() {});
}

void convert(cudaStream_t stream, DType from, DType to, const ConvertPiece* pieces,
             std::uint64_t count, std::uint64_t longest) {
  if (count == 0 || longest == 0) return;
  if (!can_convert(from, to)) check(cudaErrorInvalidValue, "choosing a kernel that converts");
  const auto grid = [](std::uint64_t spans, std::uint64_t rows) {
    return dim3(static_cast<unsigned>(spans), static_cast<unsigned>(std::min(kRowsAtMost, rows)));
  };
  with_source(
      from,
      [&]<DType From>() {
        launch<convert_plain<From>>(
            grid((longest + kSpan - 1) / kSpan, (count + kPieces - 1) / kPieces), kThreads, 0,
            stream, pieces, count, to);
      },
      [&]<DType From, std::uint32_t kElements, std::uint32_t kBytes>() {
        // Blocks of the longest piece, wherever in its first one it begins.
        const std::uint64_t blocks = (longest + kElements - 2) / kElements + 1;
        launch<convert_quantized<From, kElements, kBytes>>(
            grid((blocks + kWarp - 1) / kWarp, count), kWarp, 0, stream, pieces, count, to);
      });
}

}  // namespace initrt::cuda
