// Shared by the tests of CUDA kernels, which run on the CUDA emulator and on GPUs: device memory
// with a guard on each side of it, and random data.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#if __has_include("cuda_emulator/control.h")
#include "cuda_emulator/control.h"
#define INITRT_ON_CUDA_EMULATOR
#endif
#include "runtime/device/cuda/kernels.h"
#include "sharding/error.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {

/// Device memory of `values` between guards that nothing may write to.
template <class T>
class Guarded {
 public:
  /// @param misaligned bytes by which it misses the alignment of 256
  explicit Guarded(const std::vector<T>& values, std::size_t misaligned = 0)
      : before_(kGuard + misaligned),
        count_(values.size()),
        all_(before_ + bytes() + kGuard, kFill) {
    if (count_ > 0) std::memcpy(all_.data() + before_, values.data(), bytes());
    EXPECT_EQ(cudaMalloc(&memory_, all_.size()), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(memory_, all_.data(), all_.size(), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~Guarded() { cudaFree(memory_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] T* get() const { return reinterpret_cast<T*>(memory_ + before_); }

  /// What it holds now. The guards are checked.
  [[nodiscard]] std::vector<T> read() const {
    std::vector<std::byte> now(all_.size());
    EXPECT_EQ(cudaMemcpy(now.data(), memory_, now.size(), cudaMemcpyDeviceToHost), cudaSuccess);
    std::vector<T> values(count_);
    if (count_ > 0) std::memcpy(values.data(), now.data() + before_, bytes());
    std::memcpy(now.data() + before_, all_.data() + before_, bytes());
    EXPECT_EQ(now, all_) << "written outside of the output";
    return values;
  }

 private:
  static constexpr std::size_t kGuard = 256;
  static constexpr std::byte kFill{0xff};

  [[nodiscard]] std::size_t bytes() const { return count_ * sizeof(T); }

  std::size_t before_, count_;
  std::vector<std::byte> all_;
  std::byte* memory_ = nullptr;
};

/// Whether all numbers have the same bits, but for NaN, which are all the same.
inline bool same_numbers(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return true;
}

inline std::vector<float> part(const std::vector<float>& values, std::size_t begin,
                               std::size_t count) {
  const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

/// Why what is made of e^x cannot be compared with the CPU device's bits.
inline constexpr const char* kNotFused = "this CPU has no fused multiply-add, which devices have";

class CudaKernels : public testing::Test {
 protected:
#ifdef INITRT_ON_CUDA_EMULATOR
  void SetUp() override { cuda_emulator::reset(); }
#endif

  std::vector<float> random(std::size_t count, float scale = 1.0f) {
    std::normal_distribution<float> normal(0.0f, scale);
    std::vector<float> values(count);
    for (float& value : values) value = normal(generator_);
    return values;
  }
  /// Among random numbers, those that functions take a turn at.
  std::vector<float> with_specials(std::size_t count, float scale = 3.0f) {
    constexpr float kSpecial[] = {0.0f,
                                  -0.0f,
                                  std::numeric_limits<float>::infinity(),
                                  -std::numeric_limits<float>::infinity(),
                                  std::numeric_limits<float>::quiet_NaN(),
                                  1e-42f,
                                  -1e-42f,
                                  65519.0f,
                                  65520.0f,
                                  88.8f,
                                  -88.8f,
                                  104.0f,
                                  -103.9f,
                                  3e38f,
                                  -3e38f,
                                  5.9e-8f};
    std::vector<float> values = random(count, scale);
    for (float& value : values) {
      if (below(4) == 0) value = kSpecial[below(std::size(kSpecial))];
    }
    return values;
  }
  std::size_t below(std::size_t limit) { return generator_() % limit; }
  std::vector<std::byte> random_bytes(std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(generator_() & 0xff);
    return bytes;
  }

 private:
  std::mt19937 generator_{20240229};
};

/// Lengths around what kernels take at once: threads, neighbours, blocks.
inline constexpr std::size_t kLengths[] = {1, 3, 4, 8, 9, 31, 255, 1024, 2050, 5003};

}  // namespace initrt::test
