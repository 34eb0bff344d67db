// The emulated NCCL, between threads and between processes.
#include <gtest/gtest.h>
#include <nccl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <numeric>
#include <thread>
#include <utility>

#include "device_array.h"

namespace cuda_emulator {
namespace {

class EmulatedNccl : public testing::Test {
 protected:
  void SetUp() override {
    set_devices(std::vector<DeviceDescription>(3));
    ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  }
  ncclUniqueId id{};
};
using EmulatedNcclDeathTest = EmulatedNccl;

/// A rank with its device, stream and communicator.
struct Rank {
  Rank(const ncclUniqueId& id, int ranks, int number) : rank(number) {
    EXPECT_EQ(cudaSetDevice(number), cudaSuccess);
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(ncclCommInitRank(&comm, ranks, id, number), ncclSuccess);
  }
  ~Rank() {
    EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
  }
  int rank;
  cudaStream_t stream = nullptr;
  ncclComm_t comm = nullptr;
};

void on_threads(int ranks, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(body, rank);
  for (std::thread& thread : threads) thread.join();
}

std::vector<int> block_of(int rank, std::size_t count) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), rank * 1000000);
  return values;
}

/// Gathers blocks of more than a channel's bytes; whether all are right.
bool gather(Rank& rank, int ranks, std::size_t count, bool in_place) {
  const std::vector<int> mine = block_of(rank.rank, count);
  const DeviceArray<int> all(count * static_cast<std::size_t>(ranks));
  const DeviceArray<int> apart(mine);
  int* own = all.get() + static_cast<std::size_t>(rank.rank) * count;
  if (cudaMemcpy(own, mine.data(), count * 4, cudaMemcpyHostToDevice) != cudaSuccess) return false;
  if (ncclAllGather(in_place ? own : apart.get(), all.get(), count, ncclInt32, rank.comm,
                    rank.stream) != ncclSuccess ||
      cudaStreamSynchronize(rank.stream) != cudaSuccess)
    return false;
  std::vector<int> expected;
  for (int one = 0; one < ranks; ++one) {
    const std::vector<int> block = block_of(one, count);
    expected.insert(expected.end(), block.begin(), block.end());
  }
  return all.read() == expected;
}

TEST_F(EmulatedNccl, GivesMemoryThatItTakesBack) {
  void *own = nullptr, *other = nullptr;
  ASSERT_EQ(ncclMemAlloc(&own, 4096), ncclSuccess);
  ASSERT_EQ(cudaMalloc(&other, 4096), cudaSuccess);
  EXPECT_EQ(counters().nccl_bytes, 4096);
  EXPECT_EQ(ncclMemFree(other), ncclInvalidArgument);
  EXPECT_EQ(ncclMemFree(own), ncclSuccess);
  EXPECT_EQ(counters().nccl_bytes, 0);
  EXPECT_EQ(cudaFree(other), cudaSuccess);
}

TEST_F(EmulatedNccl, ThreadsAllGather) {
  on_threads(3, [&](int number) {
    Rank rank(id, 3, number);
    for (const std::size_t count : {1u, 5u, 100000u}) {
      EXPECT_TRUE(gather(rank, 3, count, false));
      EXPECT_TRUE(gather(rank, 3, count, true));
    }
  });
}

TEST_F(EmulatedNccl, ProcessesAllGather) {
  reset();  // no threads: what is forked must be able to start its own
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  set_devices(std::vector<DeviceDescription>(2));
  bool right = false;
  {
    Rank rank(id, 2, child == 0 ? 1 : 0);
    right = gather(rank, 2, 50000, false);
  }
  if (child == 0) _exit(right ? 0 : 1);
  EXPECT_TRUE(right);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(EmulatedNccl, GroupsSendAndReceiveAtOnce) {
  on_threads(3, [&](int number) {
    Rank rank(id, 3, number);
    const std::size_t count = 40000;
    const DeviceArray<int> mine(block_of(number, count)), from(count), self(count);
    const int next = (number + 1) % 3, before = (number + 2) % 3;
    ASSERT_EQ(ncclGroupStart(), ncclSuccess);
    EXPECT_EQ(ncclSend(mine.get(), count, ncclFloat32, next, rank.comm, rank.stream), ncclSuccess);
    EXPECT_EQ(ncclRecv(from.get(), count, ncclFloat32, before, rank.comm, rank.stream),
              ncclSuccess);
    EXPECT_EQ(ncclSend(mine.get(), count, ncclFloat32, number, rank.comm, rank.stream),
              ncclSuccess);
    EXPECT_EQ(ncclRecv(self.get(), count, ncclFloat32, number, rank.comm, rank.stream),
              ncclSuccess);
    ASSERT_EQ(ncclGroupEnd(), ncclSuccess);
    ASSERT_EQ(cudaStreamSynchronize(rank.stream), cudaSuccess);
    EXPECT_EQ(from.read(), block_of(before, count));
    EXPECT_EQ(self.read(), block_of(number, count));
  });
}

/// Until it is something other than ncclInProgress.
ncclResult_t settled(ncclComm_t comm) {
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress) {
    EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
    std::this_thread::yield();
  }
  return state;
}

TEST_F(EmulatedNccl, CommunicatorsThatDoNotBlockAreReadyLater) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t first = nullptr, second = nullptr;
  ASSERT_EQ(ncclCommInitRankConfig(&first, 2, id, 0, &config), ncclInProgress);
  const DeviceArray<int> memory(std::vector<int>{1, 2});
  ncclResult_t state = ncclSuccess;
  ASSERT_EQ(ncclCommGetAsyncError(first, &state), ncclSuccess);
  EXPECT_EQ(state, ncclInProgress);
  EXPECT_EQ(ncclAllGather(memory.get(), memory.get(), 1, ncclInt32, first, nullptr),
            ncclInvalidArgument);
  ASSERT_EQ(ncclCommInitRankConfig(&second, 2, id, 1, &config), ncclInProgress);
  EXPECT_EQ(settled(first), ncclSuccess);
  EXPECT_EQ(settled(second), ncclSuccess);

  cudaStream_t other = nullptr;
  ASSERT_EQ(cudaStreamCreate(&other), cudaSuccess);
  const DeviceArray<int> twin(std::vector<int>{3, 4});
  EXPECT_EQ(ncclAllGather(memory.get(), memory.get(), 1, ncclInt32, first, nullptr),
            ncclInProgress);
  EXPECT_EQ(ncclAllGather(twin.get() + 1, twin.get(), 1, ncclInt32, second, other), ncclInProgress);
  EXPECT_EQ(settled(first), ncclSuccess);
  EXPECT_EQ(settled(second), ncclSuccess);
  ASSERT_EQ(cudaStreamSynchronize(other), cudaSuccess);
  EXPECT_EQ(memory.read(), (std::vector<int>{1, 4}));
  EXPECT_EQ(twin.read(), (std::vector<int>{1, 4}));
  EXPECT_EQ(ncclCommFinalize(first), ncclSuccess);
  EXPECT_EQ(ncclCommDestroy(first), ncclSuccess);
  EXPECT_EQ(ncclCommDestroy(second), ncclSuccess);
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
}

TEST_F(EmulatedNccl, AbortEndsWaitingForRanksThatNeverCome) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  ASSERT_EQ(ncclCommInitRankConfig(&comm, 2, id, 0, &config), ncclInProgress);
  EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
}

TEST_F(EmulatedNccl, AbortEndsACollectiveThatHangs) {
  Rank rank(id, 1, 0);
  const DeviceArray<int> memory(std::vector<int>{5});
  hang_collective();
  ASSERT_EQ(ncclAllGather(memory.get(), memory.get(), 1, ncclInt32, rank.comm, rank.stream),
            ncclSuccess);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(cudaStreamQuery(rank.stream), cudaErrorNotReady);
  EXPECT_EQ(ncclCommAbort(rank.comm), ncclSuccess);
  rank.comm = nullptr;
  EXPECT_EQ(cudaStreamSynchronize(rank.stream), cudaSuccess);
}

TEST_F(EmulatedNccl, FailuresOnDemandAreAsynchronous) {
  Rank rank(id, 1, 0);
  const DeviceArray<int> memory(std::vector<int>{5});
  fail_collective(ncclRemoteError);
  ASSERT_EQ(ncclAllGather(memory.get(), memory.get(), 1, ncclInt32, rank.comm, rank.stream),
            ncclSuccess);
  ASSERT_EQ(cudaStreamSynchronize(rank.stream), cudaSuccess);
  EXPECT_EQ(settled(rank.comm), ncclRemoteError);
  EXPECT_STREQ(ncclGetLastError(rank.comm), "a failure that was asked for");
  fail_call("ncclAllGather", ncclSystemError);
  EXPECT_EQ(ncclAllGather(memory.get(), memory.get(), 1, ncclInt32, rank.comm, rank.stream),
            ncclSystemError);
}

TEST_F(EmulatedNccl, GraphsGather) {
  on_threads(2, [&](int number) {
    Rank rank(id, 2, number);
    const DeviceArray<int> mine(std::vector<int>{number + 1}), all(2);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(rank.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    EXPECT_EQ(ncclAllGather(mine.get(), all.get(), 1, ncclInt32, rank.comm, rank.stream),
              ncclSuccess);
    ASSERT_EQ(cudaStreamEndCapture(rank.stream, &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(executable, rank.stream), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(rank.stream), cudaSuccess);
    EXPECT_EQ(all.read(), (std::vector<int>{1, 2}));
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  });
}

TEST_F(EmulatedNccl, AbortWaitsForGraphsThatHoldItsOperations) {
  Rank rank(id, 1, 0);
  const DeviceArray<int> memory(std::vector<int>{5});
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(rank.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(ncclAllGather(memory.get(), memory.get(), 1, ncclInt32, rank.comm, rank.stream),
            ncclSuccess);
  ASSERT_EQ(cudaStreamEndCapture(rank.stream, &graph), cudaSuccess);
  std::atomic<bool> graph_is_there = true;
  std::thread aborting([comm = std::exchange(rank.comm, nullptr), &graph_is_there] {
    EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
    EXPECT_FALSE(graph_is_there);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  graph_is_there = false;
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  aborting.join();
}

TEST_F(EmulatedNccl, ArgumentsAreChecked) {
  Rank rank(id, 1, 0);
  const DeviceArray<int> memory(4);
  std::vector<int> host(4);
  EXPECT_EQ(ncclAllGather(host.data(), memory.get(), 1, ncclInt32, rank.comm, rank.stream),
            ncclInvalidArgument);
  EXPECT_EQ(ncclAllGather(memory.get(), memory.get(), 5, ncclInt32, rank.comm, rank.stream),
            ncclInvalidArgument);
  EXPECT_EQ(ncclSend(memory.get(), 1, ncclInt32, 1, rank.comm, rank.stream), ncclInvalidArgument);
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(ncclAllGather(memory.get(), memory.get(), 1, ncclInt32, rank.comm, nullptr),
            ncclInvalidArgument);  // another device's stream
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  void* handle = nullptr;
  EXPECT_EQ(ncclCommRegister(rank.comm, host.data(), 4, &handle), ncclInvalidArgument);
  ASSERT_EQ(ncclCommRegister(rank.comm, memory.get(), 16, &handle), ncclSuccess);
  EXPECT_EQ(ncclCommDeregister(rank.comm, handle), ncclSuccess);
  EXPECT_EQ(ncclCommDeregister(rank.comm, handle), ncclInvalidArgument);
  ncclComm_t none = nullptr;
  EXPECT_EQ(ncclCommInitRank(&none, 2, id, 2), ncclInvalidArgument);
  void* shared = nullptr;
  ASSERT_EQ(ncclMemAlloc(&shared, 100), ncclSuccess);
  EXPECT_EQ(ncclMemFree(shared), ncclSuccess);
}

void gather_differently(const ncclUniqueId& id) {
  on_threads(2, [&](int number) {
    Rank rank(id, 2, number);
    const DeviceArray<int> memory(8);
    ncclAllGather(memory.get(), memory.get(), number == 0 ? 3 : 4, ncclInt32, rank.comm,
                  rank.stream);
    cudaStreamSynchronize(rank.stream);
  });
}

TEST_F(EmulatedNcclDeathTest, RanksThatDifferAreAborted) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(gather_differently(id), "rank . all-gathers 1[26] bytes where rank . all-gathers 1");
}

}  // namespace
}  // namespace cuda_emulator
