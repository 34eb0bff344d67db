// The CPU device's ops beside what the machine can do, measured in the same run: linear with one
// row beside the memory's read bandwidth, linear with many rows beside multiply-adds of registers,
// products with weights held as codes against plain ones in turn, and attention.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cpu/thread_pool.h"

namespace initrt {
namespace {

/// More than any cache, so that weights come from memory as in a decode step of a large model.
constexpr std::size_t arena_bytes = std::size_t{1} << 30;

/// Anonymous memory in huge pages where the system has them, filled with small bf16 numbers
/// (which are small float32 and float16 numbers too).
class Arena {
 public:
  Arena()
      : data_(static_cast<std::byte*>(mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    if (data_ == MAP_FAILED) throw std::bad_alloc();
    madvise(data_, arena_bytes, MADV_HUGEPAGE);
    std::memset(data_, 0x3c, arena_bytes);
  }
  ~Arena() { munmap(data_, arena_bytes); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  std::byte* data_;
};

const Arena& arena() {
  static const Arena arena;
  return arena;
}

/// Activations and scratch as the runtime allocates them: 256-byte aligned. Vectors that cross
/// cache lines cost a third of the speed.
class Aligned {
 public:
  explicit Aligned(std::size_t floats)
      : floats_(static_cast<float*>(::operator new[](floats * sizeof(float), alignment))) {
    std::fill_n(floats_.get(), floats, 0.5f);
  }
  [[nodiscard]] float* data() const { return floats_.get(); }

 private:
  static constexpr std::align_val_t alignment{256};
  struct Free {
    void operator()(float* p) const { ::operator delete[](p, alignment); }
  };
  std::unique_ptr<float[], Free> floats_;
};

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
std::uint64_t
sum_of(const std::uint64_t* words, std::size_t count) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += words[i];
  return sum;
}

void read_bandwidth(benchmark::State& state) {
  cpu::ThreadPool pool(static_cast<unsigned>(state.range(0)), true);
  constexpr std::size_t piece = 256 << 10;
  std::atomic<std::uint64_t> total{0};
  const std::byte* data = arena().data();
  for (auto _ : state) {
    pool.parallel_for(arena_bytes / piece, [&](std::uint32_t i) {
      total += sum_of(reinterpret_cast<const std::uint64_t*>(data + i * piece), piece / 8);
    });
  }
  benchmark::DoNotOptimize(total.load());
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(arena_bytes) / 1e9,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

/// Arguments: instruction set, dtype, rows, columns in and out, threads.
void linear(benchmark::State& state) {
  const auto set = static_cast<InstructionSet>(state.range(0));
  const auto dtype = static_cast<DType>(state.range(1));
  const auto rows = static_cast<std::uint64_t>(state.range(2));
  const auto columns = static_cast<std::uint64_t>(state.range(3));
  const auto threads = static_cast<unsigned>(state.range(4));
  const auto device = make_cpu_device(set, threads);
  const Aligned in(rows * columns), out(rows * columns);
  const std::size_t scratch_bytes = device->needs({dtype, rows, columns}).scratch_bytes;
  const Aligned scratch(scratch_bytes / sizeof(float));
  device->set_scratch({reinterpret_cast<std::byte*>(scratch.data()), scratch_bytes}, {}, rows);
  const std::uint64_t bytes = bytes_of(dtype, columns * columns);
  const std::uint64_t matrices = arena_bytes / bytes;
  std::uint64_t next = 0;
  for (auto _ : state) {
    device->linear(in.data(),
                   {arena().data() + next++ % matrices * bytes, nullptr, dtype, columns, columns},
                   out.data(), rows, columns);
  }
  using benchmark::Counter;
  state.SetLabel(device->name() + ", " + std::string(name(dtype)));
  state.counters["GB/s"] =
      Counter(static_cast<double>(bytes) / 1e9, Counter::kIsIterationInvariantRate);
  state.counters["TFLOP/s"] = Counter(static_cast<double>(2 * rows * columns * columns) / 1e12,
                                      Counter::kIsIterationInvariantRate);
}

/// The median of some seconds.
double median(std::vector<double> seconds) {
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

/// Some matrices of [8192, columns] in the arena, one after the other, each with its scales behind.
class CodedMatrices {
 public:
  CodedMatrices(WeightFormat format, DType dtype, std::uint64_t columns) {
    weights_.dtype = dtype;
    weights_.format = format;
    weights_.in_columns = columns;
    weights_.out_columns = 8192;
    weights_.outlier_threshold = 6.0f;
    code_bytes_ = row_bytes(format, dtype, columns) * weights_.out_columns;
    bytes_ = code_bytes_ + scale_row_bytes(format, columns) * weights_.out_columns;
  }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t outputs() const { return weights_.out_columns; }
  LinearWeights next() {
    const std::byte* at = arena().data() + next_++ % (arena_bytes / bytes_) * bytes_;
    weights_.weight = at;
    if (bytes_ > code_bytes_) weights_.scales = at + code_bytes_;
    return weights_;
  }

 private:
  LinearWeights weights_;
  std::uint64_t code_bytes_ = 0, bytes_ = 0, next_ = 0;
};

/// Products with codes and with numbers in turn. "speed" is how many times as quick as with numbers
/// the median product with codes is, "share" the part of their GB/s that it reads.
/// Arguments: instruction set, dtype, rows, columns, threads, format.
void coded_linear(benchmark::State& state) {
  const auto dtype = static_cast<DType>(state.range(1));
  const auto rows = static_cast<std::uint64_t>(state.range(2));
  const auto columns = static_cast<std::uint64_t>(state.range(3));
  const auto format = static_cast<WeightFormat>(state.range(5));
  const auto device = make_cpu_device(static_cast<InstructionSet>(state.range(0)),
                                      static_cast<unsigned>(state.range(4)));
  CodedMatrices coded(format, dtype, columns), plain(WeightFormat::Plain, dtype, columns);
  const Aligned in(rows * columns), out(rows * coded.outputs());
  ProductSizes sizes{dtype, rows, columns};
  sizes.formats.add(format);
  const std::size_t scratch_bytes = device->needs(sizes).scratch_bytes;
  const Aligned scratch(scratch_bytes / sizeof(float));
  device->set_scratch({reinterpret_cast<std::byte*>(scratch.data()), scratch_bytes}, {}, rows);
  const auto seconds = [&](CodedMatrices& matrices) {
    const LinearWeights weights = matrices.next();
    const auto begin = std::chrono::steady_clock::now();
    device->linear(in.data(), weights, out.data(), rows, matrices.outputs());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::vector<double> of_coded, of_plain;
  for (auto _ : state) {
    of_plain.push_back(seconds(plain));
    of_coded.push_back(seconds(coded));
    state.SetIterationTime(of_coded.back());
  }
  const double coded_time = median(of_coded), plain_time = median(of_plain);
  const double coded_rate = static_cast<double>(coded.bytes()) / coded_time / 1e9;
  const double plain_rate = static_cast<double>(plain.bytes()) / plain_time / 1e9;
  state.SetLabel(device->name() + ", " + std::string(name(dtype)) + ", " +
                 std::string(name(format)));
  state.counters["GB/s"] = coded_rate;
  state.counters["plain_GB/s"] = plain_rate;
  state.counters["share"] = coded_rate / plain_rate;
  state.counters["speed"] = plain_time / coded_time;
}

/// Arguments: rows, context, threads. Heads as in an 8B model: 32 over 8 KV heads of 128.
void attention(benchmark::State& state) {
  const auto rows = static_cast<std::uint32_t>(state.range(0));
  const auto context = static_cast<std::uint32_t>(state.range(1));
  const auto device =
      make_cpu_device(best_instruction_set(), static_cast<unsigned>(state.range(2)));
  const AttentionShape shape{32, 8, 128, 0.088f};
  const std::uint64_t cache_bytes = bytes_of(DType::BF16, std::uint64_t{8} * context * 128);
  const KvView cache{arena().data(), arena().data() + cache_bytes, DType::BF16, context};
  std::vector<RowInfo> infos;
  for (std::uint32_t r = 0; r < rows; ++r) infos.push_back({0, context - rows + r});
  const Aligned q(std::size_t{rows} * 32 * 128), out(std::size_t{rows} * 32 * 128);
  device->set_rows(infos, {});
  for (auto _ : state) device->attention(q.data(), shape, cache, out.data());
  state.SetLabel(device->name());
  using benchmark::Counter;
  state.counters["GB/s"] =
      Counter(static_cast<double>(2 * cache_bytes) / 1e9, Counter::kIsIterationInvariantRate);
  state.counters["TFLOP/s"] = Counter(4.0 * rows * 32 * 128 * (context - rows / 2.0) / 1e12,
                                      Counter::kIsIterationInvariantRate);
}

/// What a core can multiply and add, of registers alone: sums enough to hide its latency.
constexpr int kSums = 12, kSteps = 4096;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) float total(const __m512 (&sums)[kSums]) {
  float total = 0.0f;
  for (const __m512& sum : sums) {
    std::array<float, 16> lanes;
    _mm512_storeu_ps(lanes.data(), sum);
    for (const float lane : lanes) total += lane;
  }
  return total;
}

__attribute__((target("avx512f"))) float multiply_floats() {
  __m512 sums[kSums];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  __m512 x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(1e-6f);
  for (int step = 0; step < kSteps; ++step) {
    asm volatile("" : "+v"(x), "+v"(y));  // or the loop is computed once
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(x, y, sum);
  }
  return total(sums);
}

__attribute__((target("avx512f,avx512bf16"))) float multiply_bf16() {
  __m512 sums[kSums];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  __m512i x = _mm512_set1_epi16(0x3f00), y = _mm512_set1_epi16(0x3581);
  for (int step = 0; step < kSteps; ++step) {
    asm volatile("" : "+v"(x), "+v"(y));
    for (__m512& sum : sums) {
      sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y));
    }
  }
  return total(sums);
}

/// As Tiles of the kernels has them: four of sums, two of weights, two of inputs. A step is four
/// tiles' multiplications; sums are read by nobody.
__attribute__((target("amx-tile,amx-bf16"))) float multiply_tiles() {
  struct alignas(64) Config {
    std::uint8_t palette = 1, reserved[15] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);  // which makes them 0
  for (int step = 0; step < kSteps; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 0.0f;
}

/// @param products that one step makes: two operations each
void multiply_adds(benchmark::State& state, float (*multiply)(), int products) {
  const auto threads = static_cast<unsigned>(state.range(0));
  cpu::ThreadPool pool(threads, true);
  for (auto _ : state) {
    pool.parallel_for(threads, [&](std::uint32_t) { benchmark::DoNotOptimize(multiply()); });
  }
  state.counters["TFLOP/s"] = benchmark::Counter(2.0 * products * kSteps * threads / 1e12,
                                                 benchmark::Counter::kIsIterationInvariantRate);
}
#endif

void register_limits(int threads) {
  benchmark::RegisterBenchmark("memory/read", read_bandwidth)->Arg(threads)->UseRealTime();
#if defined(__x86_64__)
  const InstructionSet best = best_instruction_set();
  if (best >= InstructionSet::Avx512) {
    benchmark::RegisterBenchmark("limit/multiply_adds_F32", multiply_adds, multiply_floats,
                                 kSums * 16)
        ->Arg(threads)
        ->UseRealTime();
  }
  if (best >= InstructionSet::Avx512Bf16) {
    benchmark::RegisterBenchmark("limit/multiply_adds_BF16", multiply_adds, multiply_bf16,
                                 kSums * 32)
        ->Arg(threads)
        ->UseRealTime();
  }
  if (best >= InstructionSet::Amx) {
    benchmark::RegisterBenchmark("limit/multiply_adds_tiles", multiply_adds, multiply_tiles,
                                 4 * 16 * 16 * 32)
        ->Arg(threads)
        ->UseRealTime();
  }
#endif
}

void parallel_region(benchmark::State& state) {
  cpu::ThreadPool pool(static_cast<unsigned>(state.range(0)), true);
  for (auto _ : state) {
    pool.parallel_for(static_cast<std::uint32_t>(state.range(0)), [](std::uint32_t) {});
  }
}

void silu_gate(benchmark::State& state) {
  const auto device = make_cpu_device(best_instruction_set(), 1);
  const auto elements = static_cast<std::size_t>(state.range(0));
  const Aligned gate(elements), up(elements), out(elements);
  for (auto _ : state) {
    device->gate(GateFunction::Silu, gate.data(), up.data(), out.data(), elements);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void register_all() {
  for (const int threads : {1, 2}) {
    register_limits(threads);
    benchmark::RegisterBenchmark("parallel_region", parallel_region)->Arg(threads)->UseRealTime();
  }
  const auto best = static_cast<std::int64_t>(best_instruction_set());
  for (std::int64_t set = best; set >= 0; --set) {
    for (const DType dtype : {DType::BF16, DType::F16, DType::F32}) {
      for (const int rows : {1, 8, 16, 32, 256}) {
        for (const int columns : {5632, 4096, 2048, 1536, 576}) {
          for (const int threads : {1, 2}) {
            const bool of_every_set = columns == 4096 && (rows == 1 || rows == 256);
            const bool of_bf16 = rows == 16 || rows == 32 || columns == 5632 || columns == 2048;
            if (set != best && !of_every_set) continue;
            if (of_bf16 && dtype != DType::BF16) continue;
            benchmark::RegisterBenchmark("linear", linear)
                ->Args({set, static_cast<std::int64_t>(dtype), rows, columns, threads})
                ->UseRealTime();
          }
        }
      }
    }
  }
  for (std::int64_t set = best; set >= 0; --set) {
    for (const DType dtype : {DType::BF16, DType::F16, DType::F32}) {
      for (std::int64_t format = 1; format < static_cast<std::int64_t>(WeightFormat::Float32);
           ++format) {
        for (const int rows : {1, 64, 256}) {
          if (set != best && rows == 64) continue;
          benchmark::RegisterBenchmark("coded_linear", coded_linear)
              ->Args({set, static_cast<std::int64_t>(dtype), rows, 4096, 2, format})
              ->UseManualTime();
        }
      }
    }
  }
  for (const int threads : {1, 2}) {
    benchmark::RegisterBenchmark("attention", attention)->Args({1, 8192, threads})->UseRealTime();
    benchmark::RegisterBenchmark("attention", attention)->Args({64, 2048, threads})->UseRealTime();
  }
  benchmark::RegisterBenchmark("silu_gate", silu_gate)->Arg(8192);
}

}  // namespace
}  // namespace initrt

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  initrt::register_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
