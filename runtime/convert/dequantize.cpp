#include "runtime/convert/dequantize.h"

#include "runtime/convert/convert.h"
#include "runtime/convert/dequantize_kernels.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using dequantize_detail::Code;
using dequantize_detail::Packing;
using dequantize_detail::RowScales;

struct RowTask {
  Code code = Code::I8;
  const std::byte* in = nullptr;
  std::uint64_t first = 0, columns = 0;
  const float* table = nullptr;
};

INITRT_INLINE void decode_any(const RowTask& task, float* out) {
  using dequantize_detail::decode_row;
  switch (task.code) {
    case Code::I8:
      return decode_row<Code::I8>(task.in, task.first, task.columns, task.table, out);
    case Code::HighNibbles:
      return decode_row<Code::HighNibbles>(task.in, task.first, task.columns, task.table, out);
    case Code::LowNibbles:
      return decode_row<Code::LowNibbles>(task.in, task.first, task.columns, task.table, out);
    case Code::Ints2:
      return decode_row<Code::Ints2>(task.in, task.first, task.columns, task.table, out);
    case Code::Ints4:
      return decode_row<Code::Ints4>(task.in, task.first, task.columns, task.table, out);
    case Code::Ints8:
      return decode_row<Code::Ints8>(task.in, task.first, task.columns, task.table, out);
  }
}

struct ColumnTask {
  Packing packing = Packing::Down;
  std::uint32_t bits = 4;
  dequantize_detail::CodeColumns codes;
};

INITRT_INLINE void decode_any(const ColumnTask& task, float* out) {
  using dequantize_detail::decode_columns;
  if (task.packing == Packing::Across) {
    decode_columns<Packing::Across, 4>(task.codes, out);
  } else if (task.bits == 4) {
    decode_columns<Packing::Down, 4>(task.codes, out);
  } else if (task.bits == 8) {
    decode_columns<Packing::Down, 8>(task.codes, out);
  } else {
    decode_columns<Packing::Down, 2>(task.codes, out);
  }
}

template <class Task>
void portable(const Task& task, float* out) {
  decode_any(task, out);
}
void portable_scale(const RowScales& with, std::uint64_t columns, float* row) {
  dequantize_detail::scale_row(with, columns, row);
}
#if defined(__x86_64__)
template <class Task>
[[gnu::target("avx2")]] void avx2(const Task& task, float* out) {
  decode_any(task, out);
}
[[gnu::target("avx2")]] void avx2_scale(const RowScales& with, std::uint64_t columns, float* row) {
  dequantize_detail::scale_row(with, columns, row);
}
#endif

struct Kernels {
  void (*decode_row)(const RowTask&, float*) = portable<RowTask>;
  void (*decode_columns)(const ColumnTask&, float*) = portable<ColumnTask>;
  void (*scale_row)(const RowScales&, std::uint64_t, float*) = portable_scale;
};

const Kernels& kernels() {
  static const Kernels chosen = [] {
    Kernels all;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) all = {avx2<RowTask>, avx2<ColumnTask>, avx2_scale};
#endif
    return all;
  }();
  return chosen;
}

constexpr float kE2m1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                             -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

Code code_of(const QuantizedWeight& weight) {
  switch (weight.method) {
    case QuantMethod::FourBitTable:
      return Code::HighNibbles;
    case QuantMethod::Fp4:
      return Code::LowNibbles;
    case QuantMethod::PackedInts:
      return weight.bits == 2 ? Code::Ints2 : weight.bits == 4 ? Code::Ints4 : Code::Ints8;
    default:
      return Code::I8;
  }
}

bool is_by_columns(const QuantizedWeight& weight) {
  return weight.method == QuantMethod::Gptq || weight.method == QuantMethod::Awq;
}

}  // namespace

Dequantizer::Dequantizer(const QuantizedWeight& weight, const WeightPart& part,
                         std::span<const std::span<const std::byte>> boxes)
    : weight_(weight), part_(part), parts_(prepare_parts(weight, part, boxes)) {}

void Dequantizer::make(std::uint64_t first, std::uint64_t rows, float* out) const {
  if (first < part_.row || first - part_.row > part_.rows ||
      rows > part_.rows - (first - part_.row)) {
    fail("rows {} to {} of a weight were read, not {} to {}", part_.row, part_.row + part_.rows,
         first, first + rows);
  }
  if (rows == 0) return;
  if (is_by_columns(weight_)) decode_columns(first, rows, out);
  for (std::uint64_t row = first; row < first + rows; ++row, out += part_.columns) {
    if (!is_by_columns(weight_)) decode_row(row, out);
    RowScales with;
    with.order = parts_.order.empty() ? nullptr : parts_.order.data();
    with.block = weight_.block_columns;
    with.skip = part_.column % weight_.block_columns;
    std::uint64_t at = (row / weight_.block_rows - part_.row / weight_.block_rows) * parts_.groups;
    if (weight_.method == QuantMethod::FourBitTable) {  // whose blocks run on from row to row
      const std::uint64_t element = row * weight_.columns;
      at = element / weight_.block_columns - part_.row * weight_.columns / weight_.block_columns;
      with.skip = element % weight_.block_columns;
    }
    // 1 / 127, as bitsandbytes writes it.
    if (weight_.method == QuantMethod::LlmInt8) with.factor = 7.874015718698502e-3f;
    with.scales = parts_.scales.data() + at;
    with.zeros = parts_.zeros.data() + at;
    kernels().scale_row(with, part_.columns, out);
  }
}

void Dequantizer::decode_row(std::uint64_t row, float* out) const {
  const QuantComponent& codes = weight_.components.front();
  const std::uint64_t columns = weight_.columns;
  if (weight_.method == QuantMethod::FourBitTable) {  // from a word of the stored dtype on
    const std::uint64_t begin = part_of(codes, part_.row, part_.rows).first * codes.of;
    kernels().decode_row({Code::HighNibbles, parts_.codes.data(), row * columns - begin, columns,
                          parts_.table.data()},
                         out);
    return;
  }
  const std::uint64_t bytes = bytes_of(codes.dtype, codes.per * codes.columns);
  const std::span<const std::byte> in = parts_.codes.subspan((row - part_.row) * bytes, bytes);
  if (codes.dtype == DType::F8_E4M3) {
    convert(in, codes.dtype, 0, columns, reinterpret_cast<std::byte*>(out), DType::F32);
  } else {
    kernels().decode_row({code_of(weight_), in.data(), 0, columns, kE2m1}, out);
  }
}

void Dequantizer::decode_columns(std::uint64_t first, std::uint64_t rows, float* out) const {
  const QuantComponent& codes = weight_.components.front();
  const auto [begin, end] = part_of(codes, part_.row, part_.rows);
  ColumnTask task;
  task.packing = weight_.method == QuantMethod::Awq ? Packing::Across : Packing::Down;
  task.bits = weight_.bits;
  task.codes = {.in = parts_.codes.data(),
                .words = end - begin,
                .skip = first - begin * codes.of,
                .rows = rows,
                .columns = part_.columns};
  kernels().decode_columns(task, out);
}

void dequantize_rows(const QuantizedWeight& weight, std::uint64_t first, std::uint64_t rows,
                     std::span<const std::span<const std::byte>> boxes, float* out) {
  Dequantizer(weight, first, rows, boxes).make(first, rows, out);
}

}  // namespace initrt
