// The table of kernels that one instruction set's file fills and CpuDevice calls. Kernels work on
// ranges and tiles of one thread; the device checks arguments and splits the work.
//
// This header and those the kernel files include declare no inline functions outside of anonymous
// namespaces: a copy compiled for one instruction set must never be linked into another's code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sharding/functions.h"
#include "sharding/kv_tile.h"

namespace initrt::cpu {

/// How weights and the KV cache are stored; also the index into the tables of Kernels.
enum class Storage : std::uint8_t { F32, Bf16, F16 };
inline constexpr std::size_t storage_count = 3;

/// Input rows, in tiles of Kernels::tile_rows, that each weight meets before the next one comes: as
/// long as they are no more. Else weights stay in the cache while the rows come one after the
/// other.
inline constexpr std::size_t few_row_tiles = 2;

/// out[t * out_stride + o] = sum_k in[t, k] * weight[o, k], for t < rows and o < out_columns.
struct LinearBlock {
  /// float32, or what round_inputs() wrote; row t, a multiple of Kernels::input_rows, at
  /// t * in_stride_bytes
  const void* in;
  std::size_t in_stride_bytes;
  const void* weight;       ///< [out_columns, in_columns], dense
  const void* next_weight;  ///< what may be needed next: brought nearer, if there are many rows
  float* out;
  std::size_t rows, in_columns, out_columns;
  std::size_t out_stride;  ///< elements
};

/// Formats of codes; the index into Kernels::decoders is WeightFormat's.
inline constexpr std::size_t format_count = 12;
/// Rows of inputs in a CodedBlock at most.
inline constexpr std::size_t coded_rows = 96;
/// Columns that are a whole number of blocks in every format of codes.
inline constexpr std::size_t coded_group = 256;

/// Elements that share a scale in the formats of four bits.
inline constexpr std::size_t four_bit_block = 64;

/// Where scales are codes: what CodedScaleRow and kScaleBlock are.
inline constexpr std::size_t scale_phase_at = 4, scale_codes_at = 5, scale_block = 256;

/// LinearBlock with rows of codes and rows of scales instead of numbers.
struct CodedBlock {
  const void* in;  ///< as LinearBlock's, or for Int8 what code_inputs() wrote
  std::size_t in_stride_bytes;
  const float* floats;  ///< the inputs before; dense
  const std::byte* codes;
  const std::byte* scales;
  std::size_t row_bytes, scale_row_bytes;
  float* out;
  std::size_t rows, in_columns, out_columns;
  std::size_t out_stride;  ///< elements
};

/// How codes become numbers of a storage type.
struct Decoder {
  /// Decodes `columns` of one row, beginning with a whole coded_group, and prefetches what lies
  /// `ahead` bytes from its codes.
  /// @param out as the storage type's linear reads weights, or float32 where it reads rounded ones;
  ///   with room for whole blocks
  void (*decode)(const std::byte* codes, const std::byte* scales, std::size_t columns,
                 std::size_t ahead, void* out);
  /// All of a product of one row of inputs, where that is quicker at once; else null.
  void (*linear_row)(const CodedBlock&);
  std::size_t group_bytes, group_scale_bytes;  ///< of coded_group columns
  /// Where scales are codes: writes those of `count` blocks of a row from its block `first` on as
  /// the float32 that decode() takes; else null. @param columns of the whole row
  void (*decode_scales)(const std::byte* row, std::size_t columns, std::size_t first,
                        std::size_t count, float* out);
};

/// An input row as codes for Int8: this, a code for each column and zeros up to a cache line, a bit
/// for each column that is an outlier, in words of 64.
struct CodedInputs {
  float scale;               ///< the largest magnitude of what is no outlier; NaN where one is
  std::int32_t sum;          ///< of the codes
  std::uint32_t outliers;    ///< how many
  std::uint32_t unused[13];  // to a cache line
};
/// More columns could overflow the sums.
inline constexpr std::size_t int8_columns = std::size_t{1} << 17;

/// Rows of one sequence and some query heads of one KV head, sharing each tile of keys.
struct AttentionBlock {
  const float* q;                      ///< first row, first head; heads are dense
  float* out;                          ///< like q
  std::size_t row_stride, out_stride;  ///< elements from row to row, of q and of out
  std::size_t rows, heads;             ///< rows * heads <= attention_queries
  const std::uint32_t* positions;      ///< of each row
  std::size_t head_size, value_size;   ///< <= attention_head_size
  const std::byte* k;                  ///< [cached, head_size] of this sequence and KV head
  const std::byte* v;                  ///< rows of value_size, value_stride elements apart
  std::size_t value_stride;
  std::size_t cached;  ///< position p lies at p % cached
  float scale;
  float softcap;         ///< 0: none
  std::uint32_t window;  ///< 0: none
  bool chunks;           ///< as AttentionShape has it
  const float* sinks;    ///< of each head, or null
  const float* rates;    ///< of each head's biases, as Alibi has them, or null
  float bias_scale;
  bool rounded_biases;
};

/// One row to normalise.
struct NormRow {
  const float* in;
  const std::byte* weight;
  const std::byte* bias;  ///< may be null
  /// Weight and bias are blocks of so many columns, so many bytes apart.
  std::size_t block_columns, block_stride;
  std::size_t first;  ///< element of weight and bias that is the first column's
  float weight_offset, epsilon;
  float* out;  ///< may be `in`
  std::size_t columns;
};
inline constexpr std::size_t norm_count = 2;  ///< kinds
inline constexpr std::size_t gate_count = 6;  ///< functions

inline constexpr std::size_t convolution_taps = 8;
inline constexpr std::size_t convolution_columns = 256;

/// Some columns of one sequence's rows, for a convolution in place.
struct ConvolutionBlock {
  float* x;                                 ///< first row
  std::size_t stride;                       ///< elements from row to row of x and of the state
  const std::byte* taps[convolution_taps];  ///< the columns' weights, of the oldest input first
  std::size_t count;                        ///< of taps
  const float* bias;                        ///< of the columns, or null
  float* state;                             ///< [count - 1, ...]: inputs, the oldest first
  std::size_t rows, columns;                ///< columns <= convolution_columns
  bool fresh;                               ///< what the state holds is another sequence's
};

inline constexpr std::size_t delta_key_size = 256;

/// One value head of one sequence's rows, and some of its values. Pointers are to the first row's.
struct DeltaBlock {
  const float *q, *k;  ///< normalised
  const float* v;
  float* out;                                         ///< may be v
  const float *decay, *beta;                          ///< e^g and beta of the head
  std::size_t key_stride, value_stride, head_stride;  ///< elements from row to row
  float* state;  ///< [key_size, ...], its rows state_stride elements apart
  std::size_t state_stride;
  std::size_t rows, key_size, values;  ///< values <= Kernels::delta_values
  bool fresh;                          ///< as of ConvolutionBlock
};

/// One head of a state space, for one sequence's rows, and some of its values. Pointers are to the
/// first row's.
struct StateSpaceBlock {
  const float* x;
  float* out;                                           ///< may be x
  const float *b, *c;                                   ///< of the head's group
  const float *step, *decay;                            ///< of the head
  float skip;                                           ///< what of x is added to the result
  std::size_t value_stride, group_stride, head_stride;  ///< elements from row to row
  float* state;  ///< [state_size, ...], its rows state_stride elements apart
  std::size_t state_stride;
  std::size_t rows, state_size, values;  ///< values <= Kernels::delta_values
  bool fresh;                            ///< as of ConvolutionBlock
};

inline constexpr std::size_t attention_queries = 16;
inline constexpr std::size_t attention_head_size = 576;
inline constexpr std::size_t attention_tile = kKvTile;  ///< keys, anchored at position 0

/// One instruction set's kernels. Arrays are indexed by Storage, or by the function's enum.
struct Kernels {
  /// Input rows and weight rows in a register tile of linear; blocks begin at a multiple of both.
  std::size_t tile_rows[storage_count], tile_outputs[storage_count];
  /// Weight rows that many input rows meet at once; 0: as many as caches hold.
  std::size_t piece_outputs[storage_count];
  /// Bytes of one input element of linear: 4 (float32), or 2 where products take bf16 pairs.
  std::size_t input_bytes[storage_count];
  /// Rows that round_inputs() takes at once, but for the last ones.
  std::size_t input_rows[storage_count];

  void (*linear[storage_count])(const LinearBlock&);
  /// Rounds float32 inputs to the storage type, in the form linear reads (16-bit storage only).
  /// @param stride elements from row to row of `in`  @param rows input_rows at most
  /// @param out for each row input_bytes x columns, up to a whole cache line
  void (*round_inputs[storage_count])(const float* in, std::size_t stride, std::size_t rows,
                                      std::size_t columns, void* out);
  /// As linear, for formats that `decoders` has.
  void (*linear_decoded[storage_count])(const CodedBlock&, const Decoder&);
  Decoder decoders[format_count][storage_count];
  /// As linear, for Int8.
  void (*linear_int8[storage_count])(const CodedBlock&);
  /// Writes a row's CodedInputs and what follows them. Outliers are rounded inputs of the
  /// threshold's magnitude and more, if it is more than 0.
  void (*code_inputs[storage_count])(const float* in, std::size_t columns, float threshold,
                                     std::byte* out);
  void (*attention[storage_count])(const AttentionBlock&);
  void (*to_float[storage_count])(const std::byte* in, float* out, std::size_t elements);
  void (*from_float[storage_count])(const float* in, std::byte* out, std::size_t elements);
  /// into[i] += float32(x[i]).
  void (*accumulate[storage_count])(const std::byte* x, float* into, std::size_t elements);
  void (*norm[norm_count][storage_count])(const NormRow&);

  void (*convolve[storage_count])(const ConvolutionBlock&);
  std::size_t delta_values;  ///< of a head that one block has at most, and a state space's
  void (*delta)(const DeltaBlock&);
  void (*state_space)(const StateSpaceBlock&);
  /// x = factor * x / sqrt(sum of squares + 1e-6).
  void (*normalize)(float* x, float factor, std::size_t elements);
  /// decay = e^(-e^a_log softplus(decay + dt_bias)); beta = sigmoid(beta).
  void (*delta_gates)(const float* a_log, const float* dt_bias, float* decay, float* beta,
                      std::size_t heads);
  /// step = softplus(step + dt_bias); decay = e^(-e^a_log step).
  void (*state_space_gates)(const float* a_log, const float* dt_bias, float* step, float* decay,
                            std::size_t heads);

  /// Rotates the pairs (x[i], x[i + half]) for i < half.
  void (*rotary)(float* x, std::size_t half, const float* cosines, const float* sines);
  /// `up` may be null.
  void (*gate[gate_count])(const float* gate, const float* up, float* out, std::size_t elements);
  /// out[i] = in[i] within [lowest, highest], plus `offset`.
  void (*limit)(const float* in, float lowest, float highest, float offset, float* out,
                std::size_t elements);
  /// into[i] += factor * x[i], rounded twice.
  void (*add)(const float* x, float factor, float* into, std::size_t elements);
  void (*scale)(float* x, float factor, std::size_t elements);
  void (*softcap)(float* x, float cap, std::size_t elements);
  /// out[i] = e^in[i], within 2 units in the last place.
  void (*exp)(const float* in, float* out, std::size_t elements);
};

extern const Kernels portable_kernels;
#ifdef INITRT_X86_KERNELS
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
extern const Kernels avx512bf16_kernels;
/// avx512bf16_kernels with the bf16 products of AMX.
[[nodiscard]] Kernels amx_kernels();
#endif

}  // namespace initrt::cpu
