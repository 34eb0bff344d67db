// Making elements of a precision from what checkpoints hold, one thread, beside copying as many
// bytes: what is read and what is written both count, of memory that no cache holds.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/dequantize.h"

namespace initrt {
namespace {

constexpr std::uint64_t kRows = 2048, kColumns = 8192, kElements = kRows * kColumns;
constexpr std::uint64_t kRowsAtOnce = 64, kColumnsAtOnce = 1024;  // as a staging block has
constexpr std::uint64_t kTileRows = 64;                           // as stay in a cache

// Small numbers whatever they are read as: of any dtype, or of blocks.
std::vector<std::byte> stored(std::uint64_t bytes) {
  std::mt19937 generator(1);
  std::vector<std::byte> made(bytes);
  for (std::byte& byte : made) byte = static_cast<std::byte>(generator() % 0x40);
  return made;
}

void count(benchmark::State& state, std::uint64_t bytes_in, std::uint64_t bytes_out) {
  using benchmark::Counter;
  const auto per_second = [](std::uint64_t of) {
    return Counter(static_cast<double>(of) / 1e9, Counter::kIsIterationInvariantRate);
  };
  state.counters["GB/s"] = per_second(bytes_in + bytes_out);
  state.counters["stored_GB/s"] = per_second(bytes_in);
  state.counters["G_elements/s"] = per_second(kElements);
}

void copy(benchmark::State& state) {
  const std::vector<std::byte> in = stored(kElements * 2);
  std::vector<std::byte> out(in.size());
  for (auto _ : state) {
    std::memcpy(out.data(), in.data(), in.size());
    benchmark::ClobberMemory();
  }
  count(state, in.size(), out.size());
}
BENCHMARK(copy)->Name("limit/copy");

void bm_convert(benchmark::State& state, DType from, DType to) {
  const std::vector<std::byte> in = stored(bytes_of(from, kElements));
  std::vector<std::byte> out(bytes_of(to, kElements));
  for (auto _ : state) {
    convert(in, from, 0, kElements, out.data(), to);
    benchmark::ClobberMemory();
  }
  count(state, in.size(), out.size());
}

/// A quantized weight with all of its tensors.
struct Stored {
  QuantizedWeight weight;
  std::vector<std::vector<std::byte>> tensors;

  Stored(QuantMethod method, std::uint32_t bits, std::uint64_t block_columns,
         std::uint64_t block_rows = 1) {
    weight.method = method;
    weight.rows = kRows;
    weight.columns = kColumns;
    weight.bits = bits;
    weight.block_columns = block_columns;
    weight.block_rows = block_rows;
  }
  Stored&& with(QuantRole role, DType dtype, std::uint64_t rows, std::uint64_t columns,
                QuantAxis axis, std::uint64_t per = 1, std::uint64_t of = 1,
                std::uint64_t column_of = 0) && {
    const QuantAxis column_axis = column_of == 0 ? QuantAxis::None : QuantAxis::Rows;
    weight.components.push_back({role, static_cast<std::uint32_t>(tensors.size()), dtype, rows,
                                 columns, axis, per, of, "x", column_axis,
                                 std::max<std::uint64_t>(column_of, 1)});
    tensors.push_back(stored(bytes_of(dtype, rows * columns)));
    return std::move(*this);
  }
};

Stored fp8_blocks() {
  return Stored(QuantMethod::Bytes, 8, 128, 128)
      .with(QuantRole::Codes, DType::F8_E4M3, kRows, kColumns, QuantAxis::Rows)
      .with(QuantRole::Scales, DType::BF16, kRows / 128, kColumns / 128, QuantAxis::Rows, 1, 128);
}
Stored mxfp4() {
  return Stored(QuantMethod::Fp4, 4, 32)
      .with(QuantRole::Codes, DType::U8, kRows, kColumns / 2, QuantAxis::Rows)
      .with(QuantRole::Scales, DType::F8_E8M0, kRows, kColumns / 32, QuantAxis::Rows);
}
Stored gptq() {
  return Stored(QuantMethod::Gptq, 4, 128)
      .with(QuantRole::Codes, DType::I32, kColumns / 8, kRows, QuantAxis::Columns, 1, 1, 8)
      .with(QuantRole::Scales, DType::F16, kColumns / 128, kRows, QuantAxis::Columns, 1, 1, 128)
      .with(QuantRole::Zeros, DType::I32, kColumns / 128, kRows / 8, QuantAxis::Columns, 1, 8, 128);
}
Stored awq() {
  return Stored(QuantMethod::Awq, 4, 128)
      .with(QuantRole::Codes, DType::I32, kColumns, kRows / 8, QuantAxis::Columns, 1, 8, 1)
      .with(QuantRole::Scales, DType::F16, kColumns / 128, kRows, QuantAxis::Columns, 1, 1, 128)
      .with(QuantRole::Zeros, DType::I32, kColumns / 128, kRows / 8, QuantAxis::Columns, 1, 8, 128);
}

/// What source_boxes() names of a part, as a read leaves it.
std::vector<std::vector<std::byte>> read_boxes(const Stored& stored, const WeightPart& part) {
  std::vector<std::vector<std::byte>> boxes;
  for (const SourceBox& box : source_boxes(stored.weight, part)) {
    const QuantComponent& of = stored.weight.components[box.tensor];
    std::vector<std::byte> bytes(box.bytes());
    const std::uint64_t row_bytes = bytes_of(box.dtype, box.columns);
    for (std::uint64_t row = 0; row < box.rows; ++row) {
      std::memcpy(bytes.data() + row * row_bytes,
                  stored.tensors[box.tensor].data() +
                      bytes_of(box.dtype, (box.row + row) * of.columns + box.column),
                  row_bytes);
    }
    boxes.push_back(std::move(bytes));
  }
  return boxes;
}

/// Parts of a weight as the loader makes them: some rows, or of what is stored by columns some of
/// these.
std::vector<WeightPart> parts_of(const QuantizedWeight& weight) {
  std::vector<WeightPart> parts;
  const bool slabs = weight.column_step() > 0;
  const std::uint64_t rows = slabs ? kRows : kRowsAtOnce;
  const std::uint64_t columns = slabs ? kColumnsAtOnce : kColumns;
  for (std::uint64_t row = 0; row < kRows; row += rows) {
    for (std::uint64_t column = 0; column < kColumns; column += columns) {
      parts.push_back({row, rows, column, columns});
    }
  }
  return parts;
}

/// In float32, as Dequantizer makes it, a tile of rows after the other; the boxes were put together
/// before.
void bm_dequantize(benchmark::State& state, Stored (*make)()) {
  const Stored weight = make();
  const std::vector<WeightPart> parts = parts_of(weight.weight);
  std::vector<std::vector<std::vector<std::byte>>> all;
  std::uint64_t bytes_in = 0;
  for (const WeightPart& part : parts) {
    all.push_back(read_boxes(weight, part));
    for (const std::vector<std::byte>& box : all.back()) bytes_in += box.size();
  }
  std::vector<float> out(kElements);
  for (auto _ : state) {
    float* to = out.data();
    for (std::uint64_t i = 0; i < all.size(); ++i) {
      const std::vector<std::span<const std::byte>> boxes(all[i].begin(), all[i].end());
      const Dequantizer dequantizer(weight.weight, parts[i], boxes);
      for (std::uint64_t row = 0; row < parts[i].rows; row += kTileRows) {
        dequantizer.make(parts[i].row + row, kTileRows, to);
        to += kTileRows * parts[i].columns;
      }
    }
    benchmark::ClobberMemory();
  }
  count(state, bytes_in, out.size() * sizeof(float));
}
BENCHMARK_CAPTURE(bm_dequantize, fp8_blocks, fp8_blocks)->Name("dequantize/fp8_blocks_to_F32");
BENCHMARK_CAPTURE(bm_dequantize, mxfp4, mxfp4)->Name("dequantize/mxfp4_to_F32");
BENCHMARK_CAPTURE(bm_dequantize, gptq, gptq)->Name("dequantize/gptq_to_F32");
BENCHMARK_CAPTURE(bm_dequantize, awq, awq)->Name("dequantize/awq_to_F32");

void register_conversions() {
  using enum DType;
  const auto add = [](DType from, DType to) {
    const std::string name =
        "convert/" + std::string(initrt::name(from)) + "_to_" + std::string(initrt::name(to));
    benchmark::RegisterBenchmark(name.c_str(), bm_convert, from, to);
  };
  for (const DType from : {F32, F16, BF16, F8_E4M3, F8_E5M2, Q4_0, Q4_1, Q8_0, Q2_K, Q3_K, Q4_K,
                           Q5_K, Q6_K, IQ4_NL, MXFP4}) {
    for (const DType to : {BF16, F32}) {
      if (from != to) add(from, to);
    }
  }
}

}  // namespace
}  // namespace initrt

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  initrt::register_conversions();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
