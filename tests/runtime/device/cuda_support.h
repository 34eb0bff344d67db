// Shared by the tests of CUDA kernels, which run on the CUDA emulator and on GPUs: device memory
// with a guard on each side of it, and random data.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
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

/// Why what is made of e^x cannot be compared with the CPU device's bits.
inline constexpr const char* kNotFused = "this CPU has no fused multiply-add, which devices have";

class CudaKernels : public testing::Test, protected Random {
 protected:
#ifdef INITRT_ON_CUDA_EMULATOR
  void SetUp() override { cuda_emulator::reset(); }
#endif
};

}  // namespace initrt::test
