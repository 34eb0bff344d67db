// The emulator's devices, errors and failures on demand.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "device_array.h"

namespace cuda_emulator {
namespace {

class EmulatedRuntime : public testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override {
    for (const char* name :
         {"CUDA_EMULATOR_DEVICES", "CUDA_EMULATOR_MEMORY", "CUDA_VISIBLE_DEVICES"})
      unsetenv(name);
    reset();
  }
};

int device_count() {
  int count = -1;
  cudaGetDeviceCount(&count);
  return count;
}

TEST_F(EmulatedRuntime, DevicesSayWhoTheyAre) {
  DeviceDescription first, second;
  second.name = "Emulated other GPU";
  second.pci_bus = 0x3b;
  second.uuid[0] = 7;
  set_devices({first, second});
  ASSERT_EQ(device_count(), 2);
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 1), cudaSuccess);
  EXPECT_STREQ(properties.name, "Emulated other GPU");
  EXPECT_EQ(properties.uuid.bytes[0], 7);
  EXPECT_EQ(properties.major, 9);
  char id[16];
  ASSERT_EQ(cudaDeviceGetPCIBusId(id, sizeof id, 1), cudaSuccess);
  EXPECT_STREQ(id, "0000:3B:00.0");
  EXPECT_EQ(cudaDeviceGetPCIBusId(id, 12, 1), cudaErrorInvalidValue);
  int shared = 0;
  ASSERT_EQ(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0),
            cudaSuccess);
  EXPECT_EQ(shared, 227 << 10);
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 2), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  int current = 0;
  ASSERT_EQ(cudaGetDevice(&current), cudaSuccess);
  EXPECT_EQ(current, 1);
}

TEST_F(EmulatedRuntime, TheEnvironmentChoosesDevices) {
  setenv("CUDA_EMULATOR_DEVICES", "3", 1);
  setenv("CUDA_EMULATOR_MEMORY", "1048576", 1);
  reset();
  EXPECT_EQ(device_count(), 3);
  std::size_t free_bytes = 0, total_bytes = 0;
  ASSERT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
  EXPECT_EQ(total_bytes, 1048576u);

  setenv("CUDA_VISIBLE_DEVICES", "2,0", 1);
  reset();
  EXPECT_EQ(device_count(), 2);
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_EQ(properties.pciBusID, 3);

  setenv("CUDA_VISIBLE_DEVICES", "GPU-e0000000-0000-0000-0000-000000000001", 1);
  reset();
  EXPECT_EQ(device_count(), 1);
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_EQ(properties.pciBusID, 2);

  setenv("CUDA_VISIBLE_DEVICES", "1,7,0", 1);
  reset();
  EXPECT_EQ(device_count(), 1);
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  reset();
  EXPECT_EQ(device_count(), 0);
  int count = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1), cudaErrorNoDevice);
}

TEST_F(EmulatedRuntime, CallsFailOnDemandOnce) {
  fail_call("cudaMalloc", cudaErrorMemoryAllocation, 1);
  void *first = nullptr, *second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, 4), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 4), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 4), cudaSuccess);
  cudaFree(first);
  cudaFree(second);
}

__global__ void write_one(int* to) { *to = 1; }

cudaError_t launch_write(int* to) {
  cudaLaunchConfig_t config{1, 1, 0, nullptr, nullptr, 0};
  return cudaLaunchKernelEx(&config, write_one, to);
}

TEST_F(EmulatedRuntime, AFailedKernelFailsItsDeviceUntilReset) {
  set_devices({DeviceDescription(), DeviceDescription()});
  int* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, sizeof(int)), cudaSuccess);
  fail_kernel(cudaErrorIllegalAddress, 1);
  EXPECT_EQ(launch_write(memory), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(launch_write(memory), cudaSuccess);  // seen later
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_EQ(launch_write(memory), cudaErrorIllegalAddress);
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 4), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);  // the other device is well
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(0), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
  EXPECT_EQ(counters().device_allocations, 0);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(counters().kernels, 1u);
}

TEST_F(EmulatedRuntime, ErrorsHaveCudasNames) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
  EXPECT_STREQ(cudaGetErrorString(static_cast<cudaError_t>(12345)), "unrecognized error code");
}

}  // namespace
}  // namespace cuda_emulator
