// Memory on the emulator: who may touch it, when, and within which bounds.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "device_array.h"
#include "poison.h"

namespace cuda_emulator {
namespace {

class EmulatedMemory : public testing::Test {
 protected:
  void SetUp() override { reset(); }
};
using EmulatedMemoryDeathTest = EmulatedMemory;

TEST_F(EmulatedMemory, CopiesKeepBytes) {
  std::vector<int> values(1000);
  std::iota(values.begin(), values.end(), 0);
  const DeviceArray<int> first(values), second(1000);
  ASSERT_EQ(cudaMemcpy(second.get(), first.get(), 4000, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(second.read(), values);
  const Counters now = counters();
  EXPECT_EQ(now.bytes_to_device, 4000u);
  EXPECT_EQ(now.bytes_within_device, 4000u);
  EXPECT_EQ(now.bytes_to_host, 4000u);
}

TEST_F(EmulatedMemory, FreshMemoryIsNotZero) {
  const DeviceArray<unsigned char> fresh(300);
  EXPECT_EQ(fresh.read(), std::vector<unsigned char>(300, 0xcd));
  ASSERT_EQ(cudaMemset(fresh.get(), 7, 300), cudaSuccess);
  EXPECT_EQ(fresh.read(), std::vector<unsigned char>(300, 7));
}

TEST_F(EmulatedMemory, KindsMustBeTrue) {
  const DeviceArray<int> array(4);
  int host[4] = {};
  EXPECT_EQ(cudaMemcpy(array.get(), host, 16, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(array.get(), host, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, host, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host, 0, 16), cudaErrorInvalidValue);
}

TEST_F(EmulatedMemory, CopiesPastTheEndAreRefused) {
  const DeviceArray<int> array(4);
  int host[8] = {};
  EXPECT_EQ(cudaMemcpy(array.get(), host, 20, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(array.get() + 2, host, 12, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(array.get() + 2, 0, 9), cudaErrorInvalidValue);
}

TEST_F(EmulatedMemory, RowsAreCopiedToWhereTheyAreApart) {
  const DeviceArray<unsigned char> apart(std::vector<unsigned char>(11, 9));
  const std::vector<unsigned char> rows = {1, 2, 3, 4, 5, 6};
  const auto copy = [&](std::size_t to_step, std::size_t from_step, std::size_t count) {
    return cudaMemcpy2DAsync(apart.get() + 1, to_step, rows.data(), from_step, 2, count,
                             cudaMemcpyHostToDevice);
  };
  ASSERT_EQ(copy(4, 2, 3), cudaSuccess);
  EXPECT_EQ(apart.read(), (std::vector<unsigned char>{9, 1, 2, 9, 9, 3, 4, 9, 9, 5, 6}));
  EXPECT_EQ(copy(1, 2, 3), cudaErrorInvalidPitchValue);
  EXPECT_EQ(copy(4, 1, 3), cudaErrorInvalidPitchValue);
  EXPECT_EQ(copy(5, 2, 3), cudaErrorInvalidValue) << "past the end";
  EXPECT_EQ(counters().bytes_to_device, 11u + 6u);
}

TEST_F(EmulatedMemory, RunsOutAtTheDevicesSize) {
  DeviceDescription small;
  small.memory_bytes = 1 << 20;
  set_devices({small});
  std::size_t free_bytes = 0, total_bytes = 0;
  {
    const DeviceArray<char> half(512 << 10);
    ASSERT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
    EXPECT_EQ(total_bytes, 1u << 20);
    EXPECT_EQ(free_bytes, 512u << 10);
    void* more = nullptr;
    EXPECT_EQ(cudaMalloc(&more, (512 << 10) + 1), cudaErrorMemoryAllocation);
    EXPECT_EQ(more, nullptr);
    EXPECT_EQ(counters().device_allocations, 1);
  }
  EXPECT_EQ(counters().device_allocations, 0);
  const DeviceArray<char> all(1 << 20);
  EXPECT_EQ(counters().device_bytes, 1 << 20);
}

TEST_F(EmulatedMemory, OnlyWhatWasAllocatedIsFreed) {
  const DeviceArray<int> array(4);
  EXPECT_EQ(cudaFree(array.get() + 1), cudaErrorInvalidValue);
  int host = 0;
  EXPECT_EQ(cudaFree(&host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(&host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
}

TEST_F(EmulatedMemory, RegisteredHostMemoryIsTheCallers) {
  std::vector<int> host(16, 5);
  ASSERT_EQ(cudaHostRegister(host.data(), 64, cudaHostRegisterDefault), cudaSuccess);
  EXPECT_EQ(cudaHostRegister(host.data(), 64, cudaHostRegisterDefault),
            cudaErrorHostMemoryAlreadyRegistered);
  EXPECT_EQ(cudaHostUnregister(host.data()), cudaSuccess);
  EXPECT_EQ(cudaHostUnregister(host.data()), cudaErrorHostMemoryNotRegistered);
}

TEST_F(EmulatedMemoryDeathTest, TheHostCannotTouchDeviceMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const DeviceArray<int> array(std::vector<int>(4, 1));
        static_cast<volatile int*>(array.get())[0] = 2;
      },
      "");
}

__global__ void write_at(char* memory, std::size_t at) { memory[at] = 1; }

void write_past(std::size_t bytes, std::size_t at) {
  const DeviceArray<char> array(bytes);
  cudaLaunchConfig_t config{1, 1, 0, nullptr, nullptr, 0};
  cudaLaunchKernelEx(&config, write_at, array.get(), at);
  cudaDeviceSynchronize();
}

TEST_F(EmulatedMemoryDeathTest, KernelsCannotWritePastTheEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  write_past(512, 511);
  EXPECT_DEATH(write_past(512, 512), "");
#if defined(__SANITIZE_ADDRESS__)
  EXPECT_DEATH(write_past(500, 500), "use-after-poison");
#endif
}

}  // namespace
}  // namespace cuda_emulator
