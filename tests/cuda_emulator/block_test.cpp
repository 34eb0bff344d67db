// Kernels on the emulator: threads of a block, their barriers, warps and shared memory.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "device_array.h"
#include "runtime/device/cuda/launch.h"
#include "saxpy.h"
#include "sharding/error.h"

namespace cuda_emulator {
namespace {

using initrt::cuda::dynamic_shared;
using initrt::cuda::launch;

class EmulatedBlock : public testing::Test {
 protected:
  void SetUp() override { reset(); }
};
using EmulatedBlockDeathTest = EmulatedBlock;

__global__ void write_place(uint4* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] =
      make_uint4(block, threadIdx.x, threadIdx.y, threadIdx.z);
}

TEST_F(EmulatedBlock, EveryThreadOfEveryBlockRunsOnce) {
  DeviceArray<uint4> out(2 * 3 * 4 * 5 * 6 * 7);
  launch<write_place>(dim3(2, 3, 4), dim3(5, 6, 7), 0, nullptr, out.get());
  const std::vector<uint4> places = out.read();
  for (unsigned i = 0; i < places.size(); ++i) {
    const unsigned thread = i % (5 * 6 * 7);
    EXPECT_EQ(places[i].x, i / (5 * 6 * 7));
    EXPECT_EQ(places[i].y, thread % 5);
    EXPECT_EQ(places[i].z, thread / 5 % 6);
    EXPECT_EQ(places[i].w, thread / 5 / 6);
  }
  EXPECT_EQ(counters().kernels, 1u);
}

// Each thread needs what the one at the other end of the block wrote, round after round.
__global__ void reverse_rounds(int* data, int rounds) {
  __shared__ int values[100];
  const auto i = static_cast<int>(threadIdx.x);
  int mine = data[i];
  for (int round = 0; round < rounds; ++round) {
    values[i] = mine;
    __syncthreads();
    mine = values[99 - i] + 1;
    __syncthreads();
  }
  data[i] = mine;
}

TEST_F(EmulatedBlock, BarriersOrderThreads) {
  DeviceArray<int> data(std::vector<int>(100, 0));
  launch<reverse_rounds>(1, 100, 0, nullptr, data.get(), 7);
  EXPECT_EQ(data.read(), std::vector<int>(100, 7));
}

__global__ void without_barrier(int* seen) {
  __shared__ int value;
  if (threadIdx.x == 0) value = static_cast<int>(blockIdx.x) + 1;
  seen[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

TEST_F(EmulatedBlock, AMissingBarrierShowsInThePermutedOrder) {
  DeviceArray<int> seen(64 * 16);
  launch<without_barrier>(16, 64, 0, nullptr, seen.get());
  const std::vector<int> values = seen.read();
  int wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    wrong += values[i] != static_cast<int>(i / 64) + 1;
  EXPECT_GT(wrong, 0);
}

__global__ void note_block_order(unsigned* order, unsigned* next) {
  if (threadIdx.x == 0) order[(*next)++] = blockIdx.x;
}

TEST_F(EmulatedBlock, BlocksRunInAPermutedOrder) {
  DeviceArray<unsigned> order(64), next(std::vector<unsigned>{0});
  launch<note_block_order>(64, 2, 0, nullptr, order.get(), next.get());
  std::vector<unsigned> blocks = order.read();
  EXPECT_FALSE(std::is_sorted(blocks.begin(), blocks.end()));
  std::sort(blocks.begin(), blocks.end());
  for (unsigned i = 0; i < 64; ++i) EXPECT_EQ(blocks[i], i);
}

__global__ void votes(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  const int any = __syncthreads_or(i == 50), none = __syncthreads_or(0);
  const int all = __syncthreads_and(i < 70), some = __syncthreads_and(i < 69);
  const int count = __syncthreads_count(i % 2);
  out[i] = any * 1000 + none * 2000 + all * 4000 + some * 8000 + count;
}

TEST_F(EmulatedBlock, BlockVotesCountAllThreads) {
  DeviceArray<int> out(70);
  launch<votes>(1, 70, 0, nullptr, out.get());
  EXPECT_EQ(out.read(), std::vector<int>(70, 5035));
}

__global__ void shuffles(float* sums, int* firsts, unsigned* ballots) {
  const unsigned i = threadIdx.x;
  auto sum = static_cast<float>(i);
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  sums[i] = sum;
  const int lane = static_cast<int>(i % 32);
  firsts[i] = __shfl_sync(0xffffffffu, lane, 3, 8) * 10000 +
              __shfl_down_sync(0xffffffffu, lane, 30) * 100 + __shfl_up_sync(0xffffffffu, lane, 1);
  __syncwarp();
  ballots[i] = __ballot_sync(0xffffffffu, lane % 3 == 0);
  if (__any_sync(0xffffffffu, lane == 5) == 0 || __all_sync(0xffffffffu, lane < 31) != 0 ||
      __all_sync(0xffffffffu, lane < 32) == 0)
    ballots[i] = 0;
}

TEST_F(EmulatedBlock, WarpOperationsExchangeLanes) {
  DeviceArray<float> sums(96);
  DeviceArray<int> firsts(96);
  DeviceArray<unsigned> ballots(96);
  launch<shuffles>(1, 96, 0, nullptr, sums.get(), firsts.get(), ballots.get());
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; lane += 3) ballot |= 1u << lane;
  const std::vector<float> sum = sums.read();
  const std::vector<int> first = firsts.read();
  for (int i = 0; i < 96; ++i) {
    const auto n = static_cast<std::size_t>(i);
    const int lane = i % 32;
    EXPECT_EQ(sum[n], static_cast<float>(496 + i / 32 * 1024));
    EXPECT_EQ(first[n], (lane / 8 * 8 + 3) * 10000 + (lane < 2 ? lane + 30 : lane) * 100 +
                            (lane > 0 ? lane - 1 : 0));
    EXPECT_EQ(ballots.read()[n], ballot);
  }
}

__global__ void early_exits(int* out) {
  if (threadIdx.x % 2 == 1) return;
  const int there = __syncthreads_count(1);
  const unsigned lanes = __ballot_sync(0xffffffffu, 1);
  out[threadIdx.x] = there * 100 + __popc(lanes);
}

TEST_F(EmulatedBlock, ThreadsThatEndDoNotHoldUpOthers) {
  DeviceArray<int> out(64);
  launch<early_exits>(1, 64, 0, nullptr, out.get());
  EXPECT_EQ(out.read()[62], 3216);
}

__global__ void sum_in_dynamic_shared(const float* in, float* out) {
  auto* values = reinterpret_cast<float*>(dynamic_shared());
  values[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) *out = values[0];
}

TEST_F(EmulatedBlock, DynamicSharedMemoryIsTheBlocks) {
  DeviceArray<float> in(std::vector<float>(256, 0.5f)), out(1);
  launch<sum_in_dynamic_shared>(1, 256, 256 * sizeof(float), nullptr, in.get(), out.get());
  EXPECT_EQ(out.read()[0], 128.0f);
}

TEST_F(EmulatedBlock, CudaSourcesAreCompiledUnchanged) {
  DeviceArray<float> x(std::vector<float>(1001, 3.0f)), y(std::vector<float>(1001, 1.0f));
  saxpy(nullptr, 2.0f, x.get(), y.get(), 1001);
  EXPECT_EQ(y.read(), std::vector<float>(1001, 7.0f));
}

TEST_F(EmulatedBlock, LargeSharedMemoryMustBeAskedFor) {
  DeviceArray<float> in(std::vector<float>(2, 0.5f)), out(1);
  EXPECT_THROW(launch<sum_in_dynamic_shared>(1, 2, 100 << 10, nullptr, in.get(), out.get()),
               initrt::Error);
  ASSERT_EQ(cudaFuncSetAttribute(sum_in_dynamic_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 100 << 10),
            cudaSuccess);
  launch<sum_in_dynamic_shared>(1, 2, 100 << 10, nullptr, in.get(), out.get());
  EXPECT_EQ(out.read()[0], 1.0f);
  EXPECT_EQ(cudaFuncSetAttribute(sum_in_dynamic_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 228 << 10),
            cudaErrorInvalidValue);
}

TEST_F(EmulatedBlock, ImpossibleShapesAreRefused) {
  DeviceArray<uint4> out(1);
  EXPECT_THROW(launch<write_place>(0, 1, 0, nullptr, out.get()), initrt::Error);
  EXPECT_THROW(launch<write_place>(1, 1025, 0, nullptr, out.get()), initrt::Error);
  EXPECT_THROW(launch<write_place>(dim3(1, 65536), 1, 0, nullptr, out.get()), initrt::Error);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

__global__ void divergent_barriers() {
  if (threadIdx.x < 3) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void barrier_and_shuffle() {
  if (threadIdx.x < 3) {
    __syncthreads();
  } else {
    __shfl_xor_sync(0xffffffffu, 1, 1);
  }
}

__global__ void absent_lane() {
  if (threadIdx.x == 1) return;
  __shfl_xor_sync(0xffffffffu, 1, 1);
}

template <auto kKernel>
void run() {
  launch<kKernel>(2, 5, 0, nullptr);
  cudaDeviceSynchronize();
}

TEST_F(EmulatedBlockDeathTest, DivergentBarriersAreNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run<divergent_barriers>(),
               "block \\([01],0,0\\) of grid .*__syncthreads.*block_test");
  EXPECT_DEATH(run<barrier_and_shuffle>(), "not all threads meet.*__syncthreads");
  EXPECT_DEATH(run<absent_lane>(), "thread \\(0,0,0\\).*shuffles from a lane that is not there");
}

}  // namespace
}  // namespace cuda_emulator
