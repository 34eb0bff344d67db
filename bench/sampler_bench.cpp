// Choosing a token among the 128256 of Llama 3's vocabulary, beside one pass over its logits.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "runtime/text/logprobs.h"
#include "runtime/text/sampler.h"

namespace initrt {
namespace {

/// Normal, with a few likely ones, as after a prompt that says something.
const std::vector<float>& logits() {
  static const std::vector<float> logits = [] {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> values(128256);
    for (float& value : values) value = normal(generator);
    for (std::size_t id = 0; id < values.size(); id += 640) values[id] += 10;
    return values;
  }();
  return logits;
}

void bm_read(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::max_element(logits().begin(), logits().end()));
  }
}
BENCHMARK(bm_read)->Unit(benchmark::kMicrosecond);

void bm_sample(benchmark::State& state, SamplerOptions options) {
  std::uint64_t step = 0;
  for (auto _ : state) benchmark::DoNotOptimize(sample(logits(), options, 0, step++));
}
#define INITRT_SAMPLE(name, ...) \
  BENCHMARK_CAPTURE(bm_sample, name, SamplerOptions{__VA_ARGS__})->Unit(benchmark::kMicrosecond)
INITRT_SAMPLE(greedy, );
INITRT_SAMPLE(temperature, .temperature = 0.8f);
INITRT_SAMPLE(top_k_50, .temperature = 0.8f, .top_k = 50);
INITRT_SAMPLE(top_p_0_95, .temperature = 0.8f, .top_p = 0.95f);
INITRT_SAMPLE(min_p_0_05, .temperature = 0.8f, .min_p = 0.05f);
INITRT_SAMPLE(top_k_200_top_p_0_95, .temperature = 0.8f, .top_k = 200, .top_p = 0.95f);

void bm_logprobs(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(log_probabilities(logits(), 0, 5));
}
BENCHMARK(bm_logprobs)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace initrt

BENCHMARK_MAIN();
