// Capture of streams on the emulator, and the graphs that come of it.
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <utility>

#include "device_array.h"

namespace cuda_emulator {
namespace {

class EmulatedGraph : public testing::Test {
 protected:
  void SetUp() override {
    reset();
    for (cudaStream_t* stream : {&first, &second})
      ASSERT_EQ(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), cudaSuccess);
    for (cudaEvent_t* event : {&fork, &join})
      ASSERT_EQ(cudaEventCreateWithFlags(event, cudaEventDisableTiming), cudaSuccess);
    ASSERT_EQ(cudaMallocHost(&pinned, 64), cudaSuccess);
  }
  void TearDown() override {
    if (graph != nullptr) {
      EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    }
    if (executable != nullptr) {
      EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
    }
    for (cudaStream_t stream : {first, second}) EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    for (cudaEvent_t event : {fork, join}) EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
    EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
    EXPECT_EQ(counters().graph_handles, 0);
  }
  void begin() {
    ASSERT_EQ(cudaStreamBeginCapture(first, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  }
  cudaError_t end() { return cudaStreamEndCapture(first, &graph); }

  cudaStream_t first = nullptr, second = nullptr;
  cudaEvent_t fork = nullptr, join = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  int* pinned = nullptr;
};

__global__ void add(int* to, const int* from) { *to += *from; }
__global__ void multiply(int* by, int factor) { *by *= factor; }

template <class... Parameters, class... Arguments>
cudaError_t run(cudaStream_t stream, void (*kernel)(Parameters...), Arguments... arguments) {
  const cudaLaunchConfig_t config{1, 1, 0, stream, nullptr, 0};
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

TEST_F(EmulatedGraph, RepeatsWhatWasCaptured) {
  const DeviceArray<int> in(1), a(1), b(1);
  *pinned = 3;
  begin();
  ASSERT_EQ(cudaMemcpyAsync(in.get(), pinned, 4, cudaMemcpyHostToDevice, first), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(fork, first), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(second, fork), cudaSuccess);
  ASSERT_EQ(cudaMemsetAsync(a.get(), 0, 4, first), cudaSuccess);
  ASSERT_EQ(run(first, add, a.get(), in.get()), cudaSuccess);
  ASSERT_EQ(cudaMemsetAsync(b.get(), 0, 4, second), cudaSuccess);
  ASSERT_EQ(run(second, add, b.get(), in.get()), cudaSuccess);
  ASSERT_EQ(run(second, multiply, b.get(), 10), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(join, second), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(first, join), cudaSuccess);
  ASSERT_EQ(run(first, add, a.get(), b.get()), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  EXPECT_EQ(counters().kernels, 0u);  // nothing ran

  ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
  for (int i = 1; i < 20; ++i) {
    *pinned = i;
    ASSERT_EQ(cudaGraphLaunch(executable, first), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(first), cudaSuccess);
    EXPECT_EQ(a.read()[0], 11 * i);
  }
  EXPECT_EQ(counters().kernels, 19u * 4);
  EXPECT_EQ(counters().graphs, 19u);
}

TEST_F(EmulatedGraph, StreamsAreTheirOwnAgainAfterwards) {
  const DeviceArray<int> in(std::vector<int>{2}), a(std::vector<int>{1});
  begin();
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  ASSERT_EQ(cudaStreamIsCapturing(first, &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  ASSERT_EQ(run(first, add, a.get(), in.get()), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  ASSERT_EQ(cudaStreamIsCapturing(first, &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusNone);
  ASSERT_EQ(run(first, add, a.get(), in.get()), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  EXPECT_EQ(a.read()[0], 3);
  cudaGraph_t none = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(first, &none), cudaErrorIllegalState);
}

TEST_F(EmulatedGraph, WhatCannotBeCapturedInvalidatesTheCapture) {
  const DeviceArray<int> a(std::vector<int>{1});
  int pageable = 0;
  void* memory = nullptr;
  const std::function<cudaError_t()> calls[] = {
      [&] { return cudaMalloc(&memory, 4); },
      [&] { return cudaStreamSynchronize(first); },
      [&] { return cudaDeviceSynchronize(); },
      [&] { return cudaStreamQuery(first); },
      [&] { return cudaMemcpyAsync(a.get(), &pageable, 4, cudaMemcpyHostToDevice, first); },
      [&] { return cudaMemcpy(a.get(), pinned, 4, cudaMemcpyHostToDevice); },
  };
  for (const auto& call : calls) {
    begin();
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(run(first, multiply, a.get(), 2), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  }
  EXPECT_EQ(a.read()[0], 1);
}

TEST_F(EmulatedGraph, AWaitForTheDeviceInvalidatesTheCapturesOfAllThreads) {
  begin();
  cudaError_t waited = cudaSuccess;
  std::thread([&] { waited = cudaDeviceSynchronize(); }).join();
  EXPECT_EQ(waited, cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
}

TEST_F(EmulatedGraph, EventsOfCapturesAreNotWaitedFor) {
  begin();
  ASSERT_EQ(cudaEventRecord(fork, first), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(fork), cudaErrorCapturedEvent);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);

  ASSERT_EQ(cudaEventRecord(join, second), cudaSuccess);
  begin();
  EXPECT_EQ(cudaStreamWaitEvent(first, join), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
}

TEST_F(EmulatedGraph, ForkedStreamsMustJoin) {
  const DeviceArray<int> a(std::vector<int>{1});
  begin();
  ASSERT_EQ(cudaEventRecord(fork, first), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(second, fork), cudaSuccess);
  ASSERT_EQ(run(second, multiply, a.get(), 2), cudaSuccess);
  EXPECT_EQ(end(), cudaErrorStreamCaptureUnjoined);
}

TEST_F(EmulatedGraph, AFailedKernelOfAGraphFailsTheDevice) {
  const DeviceArray<int> a(std::vector<int>{1});
  begin();
  ASSERT_EQ(run(first, multiply, a.get(), 2), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
  fail_kernel(cudaErrorLaunchFailure);
  ASSERT_EQ(cudaGraphLaunch(executable, first), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(first), cudaErrorLaunchFailure);
  ASSERT_EQ(cudaGraphDestroy(std::exchange(graph, nullptr)), cudaErrorLaunchFailure);
  ASSERT_EQ(cudaGraphExecDestroy(std::exchange(executable, nullptr)), cudaErrorLaunchFailure);
  reset();
  for (cudaStream_t* stream : {&first, &second}) ASSERT_EQ(cudaStreamCreate(stream), cudaSuccess);
  ASSERT_EQ(cudaMallocHost(&pinned, 64), cudaSuccess);
}

}  // namespace
}  // namespace cuda_emulator
