// Quantizing rows while they load, beside widening them to float32.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/quantize_kernels.h"

namespace initrt {
namespace {

constexpr std::uint64_t kRows = 64, kColumns = 4096;

std::vector<std::byte> normal(DType dtype) {
  std::mt19937 generator(1);
  std::normal_distribution<float> distribution(0, 0.02f);
  std::vector<float> values(kRows * kColumns);
  for (float& value : values) value = distribution(generator);
  std::vector<std::byte> narrow(bytes_of(dtype, values.size()));
  convert(std::as_bytes(std::span(values)), DType::F32, 0, values.size(), narrow.data(), dtype);
  return narrow;
}

void count_elements(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows * kColumns));
}

void bm_quantize(benchmark::State& state, WeightFormat format, DType from, QuantizeSet set) {
  if (!supported(set)) return state.SkipWithError("not on this machine");
  const QuantizeRow kernel = quantize_kernel(format, from, set);
  const std::vector<std::byte> in = normal(from);
  const std::uint64_t in_bytes = bytes_of(from, kColumns);
  const std::uint64_t code_bytes = row_bytes(format, from, kColumns);
  const std::uint64_t scale_bytes = scale_row_bytes(format, kColumns);
  std::vector<std::byte> codes(kRows * code_bytes), scales(kRows * scale_bytes);
  for (auto _ : state) {
    for (std::uint64_t row = 0; row < kRows; ++row) {
      benchmark::DoNotOptimize(kernel(in.data() + row * in_bytes, kColumns,
                                      codes.data() + row * code_bytes,
                                      scales.data() + row * scale_bytes));
    }
    benchmark::ClobberMemory();
  }
  count_elements(state);
}

void bm_widen(benchmark::State& state, DType from) {
  const std::vector<std::byte> in = normal(from);
  std::vector<std::byte> out(kRows * kColumns * sizeof(float));
  for (auto _ : state) {
    convert(in, from, 0, kRows * kColumns, out.data(), DType::F32);
    benchmark::ClobberMemory();
  }
  count_elements(state);
}
BENCHMARK_CAPTURE(bm_widen, bf16, DType::BF16);
BENCHMARK_CAPTURE(bm_widen, f16, DType::F16);

#define INITRT_QUANTIZE(format, from)                                                           \
  BENCHMARK_CAPTURE(bm_quantize, format##_##from##_avx512, WeightFormat::format, DType::from,   \
                    QuantizeSet::Avx512);                                                       \
  BENCHMARK_CAPTURE(bm_quantize, format##_##from##_avx2, WeightFormat::format, DType::from,     \
                    QuantizeSet::Avx2);                                                         \
  BENCHMARK_CAPTURE(bm_quantize, format##_##from##_portable, WeightFormat::format, DType::from, \
                    QuantizeSet::Portable)
INITRT_QUANTIZE(Int8, BF16);
INITRT_QUANTIZE(Int8, F16);
INITRT_QUANTIZE(Int8, F32);
INITRT_QUANTIZE(Nf4, BF16);
INITRT_QUANTIZE(Nf4, F16);
INITRT_QUANTIZE(Nf4, F32);
INITRT_QUANTIZE(Fp4, BF16);
INITRT_QUANTIZE(Fp4, F16);
INITRT_QUANTIZE(Fp4, F32);

}  // namespace
}  // namespace initrt

BENCHMARK_MAIN();
