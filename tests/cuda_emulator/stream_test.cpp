// Streams and events on the emulator.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "device_array.h"

namespace cuda_emulator {
namespace {

class EmulatedStream : public testing::Test {
 protected:
  void SetUp() override {
    reset();
    for (cudaStream_t* stream : {&first, &second})
      ASSERT_EQ(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  }
  void TearDown() override {
    EXPECT_EQ(cudaStreamDestroy(first), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(second), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
    EXPECT_EQ(counters().streams, 0);
    EXPECT_EQ(counters().events, 0);
  }
  cudaStream_t first = nullptr, second = nullptr;
  cudaEvent_t event = nullptr;
};

__global__ void add_one(int* value) { ++*value; }
__global__ void spin(const int* gate) {
  while (__atomic_load_n(gate, __ATOMIC_ACQUIRE) == 0) std::this_thread::yield();
}

__global__ void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

template <class Kernel, class... Arguments>
void run(cudaStream_t stream, Kernel kernel, Arguments... arguments) {
  const cudaLaunchConfig_t config{1, 1, 0, stream, nullptr, 0};
  ASSERT_EQ(cudaLaunchKernelEx(&config, kernel, arguments...), cudaSuccess);
}

/// Pinned memory: a kernel may wait for what the host writes there.
class Gate {
 public:
  Gate() {
    EXPECT_EQ(cudaMallocHost(&value_, sizeof(int)), cudaSuccess);
    *value_ = 0;
  }
  ~Gate() { cudaFreeHost(value_); }
  void open() { __atomic_store_n(value_, 1, __ATOMIC_RELEASE); }
  [[nodiscard]] const int* get() const { return value_; }

 private:
  int* value_ = nullptr;
};

TEST_F(EmulatedStream, WorkRunsInOrderAndLater) {
  const DeviceArray<int> value(std::vector<int>{0});
  Gate gate;
  run(first, spin, gate.get());
  for (int i = 0; i < 100; ++i) run(first, add_one, value.get());
  EXPECT_EQ(cudaStreamQuery(first), cudaErrorNotReady);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  gate.open();
  EXPECT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(first), cudaSuccess);
  EXPECT_EQ(value.read()[0], 100);
}

// So that a host that asks again and again leaves the core to what it waits for.
TEST_F(EmulatedStream, AQueryWaitsALittleBeforeItSaysNotYet) {
  using namespace std::chrono_literals;
  run(first, rest);
  EXPECT_EQ(cudaEventRecord(event, first), cudaSuccess);
  const auto begin = std::chrono::steady_clock::now();
  int queries = 0;
  while (cudaEventQuery(event) == cudaErrorNotReady) ++queries;
  run(first, rest);
  while (cudaStreamQuery(first) == cudaErrorNotReady) ++queries;
  EXPECT_GT(queries, 0);
  EXPECT_LE(queries, (std::chrono::steady_clock::now() - begin) / 100us);
}

TEST_F(EmulatedStream, StreamsRunAtOnce) {
  const DeviceArray<int> value(std::vector<int>{0});
  Gate gate;
  run(first, spin, gate.get());
  run(second, add_one, value.get());
  EXPECT_EQ(cudaStreamSynchronize(second), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(first), cudaErrorNotReady);
  gate.open();
}

TEST_F(EmulatedStream, EventsOrderStreams) {
  const DeviceArray<int> value(std::vector<int>{0});
  for (int i = 0; i < 200; ++i) {
    run(i % 2 == 0 ? first : second, add_one, value.get());
    ASSERT_EQ(cudaEventRecord(event, i % 2 == 0 ? first : second), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(i % 2 == 0 ? second : first, event), cudaSuccess);
  }
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
  EXPECT_EQ(value.read()[0], 200);
}

#if defined(__SANITIZE_THREAD__)
using EmulatedStreamDeathTest = EmulatedStream;

// The streams' work is so far apart that only their order, and not its time, is at fault.
void write_from_two_streams(bool ordered) {
  cudaStream_t streams[2] = {};
  cudaEvent_t event = nullptr;
  const DeviceArray<int> value(std::vector<int>{0});
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  for (cudaStream_t& stream : streams) cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  run(streams[0], add_one, value.get());
  cudaEventRecord(event, streams[0]);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  if (ordered) cudaStreamWaitEvent(streams[1], event);
  run(streams[1], add_one, value.get());
  cudaDeviceSynchronize();
  for (cudaStream_t stream : streams) cudaStreamDestroy(stream);
  cudaEventDestroy(event);
  std::exit(0);
}

TEST_F(EmulatedStreamDeathTest, ThreadSanitizerSeesThatAWaitIsMissing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(write_from_two_streams(true), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(write_from_two_streams(false), testing::ExitedWithCode(66), "data race");
}
#endif

TEST_F(EmulatedStream, AnEventIsTheLastRecord) {
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);  // of nothing
  Gate gate;
  run(first, spin, gate.get());
  ASSERT_EQ(cudaEventRecord(event, first), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  ASSERT_EQ(cudaEventRecord(event, second), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
  gate.open();
}

TEST_F(EmulatedStream, EventsMeasureTime) {
  cudaEvent_t start = nullptr, end = nullptr;
  ASSERT_EQ(cudaEventCreate(&start), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  Gate gate;
  ASSERT_EQ(cudaEventRecord(start, first), cudaSuccess);
  ASSERT_EQ(cudaEventSynchronize(start), cudaSuccess);
  run(first, spin, gate.get());
  ASSERT_EQ(cudaEventRecord(end, first), cudaSuccess);
  float milliseconds = 0;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorNotReady);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  gate.open();
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  ASSERT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_GE(milliseconds, 1.9f);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, event), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(start), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
}

TEST_F(EmulatedStream, PinnedMemoryIsReadWhenItsTurnComes) {
  const DeviceArray<int> pinned_copy(1), pageable_copy(1);
  Gate gate;
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(int)), cudaSuccess);
  int pageable = *pinned = 1;
  run(first, spin, gate.get());
  ASSERT_EQ(cudaMemcpyAsync(pinned_copy.get(), pinned, 4, cudaMemcpyHostToDevice, first),
            cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(pageable_copy.get(), &pageable, 4, cudaMemcpyHostToDevice, first),
            cudaSuccess);
  pageable = *pinned = 2;
  gate.open();
  ASSERT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  EXPECT_EQ(pinned_copy.read()[0], 2);
  EXPECT_EQ(pageable_copy.read()[0], 1);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(EmulatedStream, FreeingWaitsForTheDevice) {
  DeviceArray<int> value(std::vector<int>{0});
  int* other = nullptr;
  ASSERT_EQ(cudaMalloc(&other, 4), cudaSuccess);
  for (int i = 0; i < 50; ++i) run(first, add_one, value.get());
  EXPECT_EQ(cudaFree(other), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(first), cudaSuccess);
}

TEST_F(EmulatedStream, WhatIsNoStreamIsRefused) {
  int unrelated = 0;
  const auto handle = reinterpret_cast<cudaStream_t>(&unrelated);
  EXPECT_EQ(cudaStreamSynchronize(handle), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(event, handle), cudaErrorInvalidResourceHandle);
}

TEST_F(EmulatedStream, WaitsOfTheHostAreCounted) {
  const auto before = counters().host_synchronizations;
  ASSERT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  ASSERT_EQ(cudaEventSynchronize(event), cudaSuccess);
  EXPECT_EQ(counters().host_synchronizations, before + 3);
}

}  // namespace
}  // namespace cuda_emulator
