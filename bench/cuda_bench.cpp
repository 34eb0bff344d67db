// The CUDA device's ops beside what the GPU can do, measured in the same run: copies by the driver,
// within the GPU and to it, are the limits of what reads weights, and of loading. Numbers are
// random.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/needs.h"
#include "sharding/reads.h"

namespace initrt {
namespace {

/// More than any cache, so that weights come from memory as in a decode step of a large model.
constexpr std::uint64_t kArenaBytes = 4ull << 30;
constexpr std::uint64_t kMaxRows = 2048, kMaxColumns = 16384;
/// Of each kind that weights are held in.
constexpr WeightFormat kFormats[] = {WeightFormat::Int8, WeightFormat::Nf4,  WeightFormat::Nf4Dq,
                                     WeightFormat::Q4_0, WeightFormat::Q8_0, WeightFormat::Q4_K,
                                     WeightFormat::Q6_K};
/// Ops between two looks at whether they are done: looking costs as much as a small one.
constexpr int kOps = 20;

/// One GPU with weights, activations and scratch, made once.
class Gpu {
 public:
  static Gpu& get() {
    static Gpu gpu;
    return gpu;
  }

  Device& device() { return *device_; }
  [[nodiscard]] cudaStream_t stream() const {
    return dynamic_cast<cuda::CudaDevice&>(*device_).stream();
  }
  [[nodiscard]] std::byte* arena() const { return arena_.data(); }
  [[nodiscard]] float* in() const { return in_.floats(); }
  [[nodiscard]] float* out() const { return out_.floats(); }
  [[nodiscard]] const Buffer& host() const { return host_; }

 private:
  Gpu() {
    ProductSizes products{DType::BF16, kMaxRows, kMaxColumns};
    for (const WeightFormat format : kFormats) products.formats.add(format);
    const DeviceNeeds needs = cuda::needs(products);
    const auto make = [&](std::uint64_t bytes) {
      return allocate(*device_, ledger_, MemoryCategory::Scratch, bytes);
    };
    arena_ = make(kArenaBytes);
    in_ = make(kMaxRows * kMaxColumns * sizeof(float));
    out_ = make(kMaxRows * kMaxColumns * sizeof(float));
    scratch_ = make(needs.scratch_bytes);
    pinned_ = device_->allocate_host(ledger_, MemoryCategory::Pinned, needs.pinned_bytes);
    host_ = device_->allocate_host(ledger_, MemoryCategory::Pinned, 256u << 20);
    device_->set_scratch(scratch_.span(), pinned_.span(), kMaxRows);
    // A GPU multiplies zeros faster: with them it takes less power, and clocks higher.
    cuda::fill_random(stream(), DType::BF16, arena_.data(), kArenaBytes / 2, 1);
    for (const Buffer* one : {&in_, &out_}) {
      cuda::fill_random(stream(), DType::F32, one->data(), one->bytes() / sizeof(float), 2);
    }
    device_->synchronize();
  }

  Ledger ledger_;
  const std::unique_ptr<Device> device_ = cuda::make_device(0);
  Buffer arena_, in_, out_, scratch_, pinned_, host_;
};

/// Runs `op(i)` kOps times an iteration; counters go by one op.
template <class Op>
void measure(benchmark::State& state, double bytes, double flops, const Op& op) {
  Device& device = Gpu::get().device();
  std::uint64_t next = 0;
  op(next++);
  device.synchronize();
  for (auto _ : state) {
    for (int i = 0; i < kOps; ++i) op(next++);
    device.synchronize();
  }
  using benchmark::Counter;
  state.SetLabel(device.name());
  state.counters["us"] = Counter(kOps / 1e6, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["GB/s"] = Counter(kOps * bytes / 1e9, Counter::kIsIterationInvariantRate);
  if (flops > 0) {
    state.counters["TFLOP/s"] = Counter(kOps * flops / 1e12, Counter::kIsIterationInvariantRate);
  }
}

/// Bytes read and written.
void copy_within(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  const CopyPiece piece{gpu.arena(), gpu.arena() + kArenaBytes / 2, kArenaBytes / 2};
  measure(state, static_cast<double>(kArenaBytes), 0,
          [&](std::uint64_t) { gpu.device().copy(std::span(&piece, 1)); });
}

/// The same by the driver: the limit.
void memcpy_within(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  measure(state, static_cast<double>(kArenaBytes), 0, [&](std::uint64_t) {
    cuda::check(cudaMemcpyAsync(gpu.arena() + kArenaBytes / 2, gpu.arena(), kArenaBytes / 2,
                                cudaMemcpyDeviceToDevice, gpu.stream()),
                "copying");
  });
}

void copy_from_host(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  measure(state, static_cast<double>(gpu.host().bytes()), 0,
          [&](std::uint64_t) { gpu.device().upload(gpu.host().span(), gpu.arena()); });
}

/// Arguments: dtype, rows, columns in and out. Bytes are those of the weights.
void linear(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  const auto dtype = static_cast<DType>(state.range(0));
  const auto rows = static_cast<std::uint64_t>(state.range(1));
  const auto columns = static_cast<std::uint64_t>(state.range(2));
  const std::uint64_t bytes = bytes_of(dtype, columns * columns);
  measure(state, static_cast<double>(bytes), static_cast<double>(2 * rows * columns * columns),
          [&](std::uint64_t i) {
            const std::byte* weights = gpu.arena() + i % (kArenaBytes / bytes) * bytes;
            gpu.device().linear(gpu.in(), {weights, nullptr, dtype, columns, columns}, gpu.out(),
                                rows, columns);
          });
}

/// Arguments: format, rows, columns in and out; in BF16. Bytes are those of codes and scales.
void linear_coded(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  const auto format = static_cast<WeightFormat>(state.range(0));
  const auto rows = static_cast<std::uint64_t>(state.range(1));
  const auto columns = static_cast<std::uint64_t>(state.range(2));
  const std::uint64_t codes = columns * row_bytes(format, DType::BF16, columns);
  const std::uint64_t scales = columns * scale_row_bytes(format, columns);
  const std::uint64_t bytes = codes + scales;
  measure(state, static_cast<double>(bytes), static_cast<double>(2 * rows * columns * columns),
          [&](std::uint64_t i) {
            LinearWeights weights;
            weights.weight = gpu.arena() + i % (kArenaBytes / bytes) * bytes;
            if (scales > 0) weights.scales = weights.weight.base + codes;
            weights.dtype = DType::BF16;
            weights.in_columns = weights.out_columns = columns;
            weights.format = format;
            weights.outlier_threshold = 6.0f;
            gpu.device().linear(gpu.in(), weights, gpu.out(), rows, columns);
          });
}

/// Arguments: rows of one sequence, context. Heads as in an 8B model: 32 over 8 KV heads of 128.
/// Bytes are those of keys and values, each once.
void attention(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  const auto rows = static_cast<std::uint32_t>(state.range(0));
  const auto context = static_cast<std::uint32_t>(state.range(1));
  const AttentionShape shape{32, 8, 128, 0.088f};
  const std::uint64_t half = bytes_of(DType::BF16, std::uint64_t{8} * context * 128);
  std::vector<RowInfo> infos;
  for (std::uint32_t r = 0; r < rows; ++r) infos.push_back({0, context - rows + r, context});
  gpu.device().set_rows(infos, {});
  measure(state, static_cast<double>(2 * half), 4.0 * rows * 32 * 128 * (context - rows / 2.0),
          [&](std::uint64_t i) {
            std::byte* const k = gpu.arena() + i % (kArenaBytes / (2 * half)) * 2 * half;
            gpu.device().attention(gpu.in(), shape, {k, k + half, DType::BF16, context}, gpu.out());
          });
}

/// Arguments: rows, columns. Bytes read and written.
void norm(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  const auto columns = static_cast<std::uint64_t>(state.range(1));
  measure(state, static_cast<double>(2 * rows * columns * sizeof(float)), 0, [&](std::uint64_t) {
    gpu.device().norm(NormKind::Rms, gpu.in(), {gpu.arena(), nullptr, DType::BF16}, 1e-5f,
                      gpu.out(), rows, columns);
  });
}

/// Arguments: rows, columns. Bytes read and written.
void silu_gate(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  const auto elements = static_cast<std::uint64_t>(state.range(0) * state.range(1));
  measure(state, static_cast<double>(3 * elements * sizeof(float)), 0, [&](std::uint64_t) {
    gpu.device().gate(GateFunction::Silu, gpu.in(), gpu.out(), gpu.out(), elements);
  });
}

/// Arguments: dtype of the file, workers. What each of a loader's threads does with blocks of 4
/// MiB: bytes of the file, to BF16.
void store(benchmark::State& state) {
  Gpu& gpu = Gpu::get();
  Ledger ledger;
  const auto workers = static_cast<std::uint32_t>(state.range(1));
  const StagingRing ring{workers, 4u << 20};
  const auto uploaders = gpu.device().make_uploaders(ledger, ring);
  const DTypeInfo& from = info(static_cast<DType>(state.range(0)));
  const std::uint64_t blocks = (ring.block_bytes - 2 * 4096) / from.block_bytes;
  const std::uint64_t bytes = blocks * from.block_bytes;
  UnitReads plan;
  plan.pieces.push_back({.offset = 0,
                         .bytes = bytes,
                         .from = from.dtype,
                         .to = DType::BF16,
                         .elements = blocks * from.block_elements});
  plan.reads.push_back({0, 0, bytes, 0, 1});
  plan.tasks.push_back({0, 1, {}});
  std::byte* const places = gpu.arena() + kArenaBytes / 2;  // of each worker 64 MiB
  const auto work = [&](std::uint32_t worker) {
    Uploader& uploader = *uploaders[worker];
    for (int i = 0; i < kOps; ++i) {
      uploader.store(plan, plan.tasks[0], plan.reads[0], uploader.block().first(bytes),
                     places + worker * (std::uint64_t{64} << 20));
    }
  };
  for (auto _ : state) {
    std::vector<std::thread> threads;
    for (std::uint32_t worker = 1; worker < workers; ++worker) threads.emplace_back(work, worker);
    work(0);
    for (std::thread& thread : threads) thread.join();
  }
  state.SetLabel(gpu.device().name());
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(kOps * bytes) * workers / 1e9,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

/// Choosing tokens of Llama 3's vocabulary, beside bringing the logits to the host. Logits are as
/// in sampler_bench.
void sample(benchmark::State& state, const SamplerOptions* options) {
  constexpr std::uint64_t kVocabulary = 128256;
  Gpu& gpu = Gpu::get();
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  const std::uint64_t bytes = rows * kVocabulary * sizeof(float);
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(rows * kVocabulary);
  for (float& logit : logits) logit = normal(generator);
  for (std::size_t i = 0; i < logits.size(); i += 640) logits[i] += 10;
  gpu.device().write(std::as_bytes(std::span(logits)), reinterpret_cast<std::byte*>(gpu.in()));
  const std::vector<double> draws(rows, 0.5);
  std::vector<Sampled> sampled(rows);
  measure(state, static_cast<double>(bytes), 0, [&](std::uint64_t) {
    if (options != nullptr) {
      gpu.device().sample(gpu.in(), rows, kVocabulary, *options, draws, sampled);
    } else {
      gpu.device().read(reinterpret_cast<const std::byte*>(gpu.in()),
                        gpu.host().span().first(bytes));
    }
  });
}

void register_sampling() {
  static const std::pair<const char*, SamplerOptions> kOptions[] = {
      {"sample/greedy", {}},
      {"sample/temperature", {.temperature = 0.8f}},
      {"sample/top_k_50", {.temperature = 0.8f, .top_k = 50}},
      {"sample/top_p_0_95", {.temperature = 0.8f, .top_p = 0.95f}},
      {"sample/top_k_200_top_p_0_95", {.temperature = 0.8f, .top_k = 200, .top_p = 0.95f}},
  };
  for (const int rows : {1, 8, 64}) {
    benchmark::RegisterBenchmark("limit/logits_to_host", sample, nullptr)->Arg(rows)->UseRealTime();
    for (const auto& [name, options] : kOptions) {
      benchmark::RegisterBenchmark(name, sample, &options)->Arg(rows)->UseRealTime();
    }
  }
}

void register_all() {
  benchmark::RegisterBenchmark("limit/memcpy_within", memcpy_within)->UseRealTime();
  benchmark::RegisterBenchmark("copy_within", copy_within)->UseRealTime();
  benchmark::RegisterBenchmark("limit/copy_from_host", copy_from_host)->UseRealTime();
  for (const DType dtype : {DType::BF16, DType::F32}) {
    for (const int rows : {1, 8, 64, 256, 2048}) {
      for (const int columns : {2048, 4096, 8192, 16384}) {
        benchmark::RegisterBenchmark("linear", linear)
            ->Args({static_cast<std::int64_t>(dtype), rows, columns})
            ->UseRealTime();
      }
    }
  }
  for (const WeightFormat format : kFormats) {
    for (const int rows : {1, 4, 8, 64, 256}) {
      for (const int columns : {4096, 8192, 16384}) {
        benchmark::RegisterBenchmark("linear_coded", linear_coded)
            ->Args({static_cast<std::int64_t>(format), rows, columns})
            ->UseRealTime();
      }
    }
  }
  for (const int context : {512, 4096, 32768}) {
    for (const int rows : {1, 8, 256}) {
      benchmark::RegisterBenchmark("attention", attention)->Args({rows, context})->UseRealTime();
    }
  }
  for (const int rows : {1, 256, 2048}) {
    benchmark::RegisterBenchmark("norm", norm)->Args({rows, 4096})->UseRealTime();
    benchmark::RegisterBenchmark("silu_gate", silu_gate)->Args({rows, 14336})->UseRealTime();
  }
  for (const DType dtype : {DType::BF16, DType::F32, DType::F8_E4M3, DType::Q4_0, DType::Q4_K,
                            DType::Q6_K, DType::Q8_0}) {
    for (const int workers : {1, 16}) {
      benchmark::RegisterBenchmark("store", store)
          ->Args({static_cast<std::int64_t>(dtype), workers})
          ->UseRealTime();
    }
  }
  register_sampling();
}

}  // namespace
}  // namespace initrt

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (initrt::cuda::visible_gpus().empty()) {
    std::fputs("cuda_bench: this machine has no GPU\n", stderr);
    return 1;
  }
  initrt::register_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
