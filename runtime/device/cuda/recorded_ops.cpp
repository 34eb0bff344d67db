#include "runtime/device/cuda/recorded_ops.h"

#include <exception>
#include <utility>

#include "sharding/error.h"

namespace initrt::cuda {
namespace {

/// The driver keeps some hundred bytes for each op of a graph, and numbers of rows seldom vary
/// more.
constexpr std::size_t kMaxRecorded = 256;

}  // namespace

RecordedOps::Executable RecordedOps::capture(cudaStream_t stream,
                                             const std::function<void()>& ops) {
  // Of this thread alone: others, which load, go on with what a recording must not contain.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording ops");
  is_capturing_ = true;
  cudaGraph_t made = nullptr;
  std::exception_ptr thrown;
  try {
    ops();
  } catch (...) {
    thrown = std::current_exception();
  }
  // Some library's call that cannot be recorded is no failure, even where it has thrown: the ops
  // are then run as they are, and what is wrong with more than the recording shows itself again.
  const cudaError_t ended = cudaStreamEndCapture(stream, &made);
  is_capturing_ = false;
  const Graph graph(made);
  if (thrown && ended == cudaSuccess) std::rethrow_exception(thrown);
  cudaGraphExec_t executable = nullptr;
  if (ended != cudaSuccess || cudaGraphInstantiate(&executable, graph.get(), 0) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  return Executable(executable);
}

void RecordedOps::run(std::uint64_t key, cudaStream_t stream, const std::function<void()>& ops) {
  const auto found = recorded_.find(key);
  if (found == recorded_.end()) {
    if (recorded_.size() < kMaxRecorded) recorded_.emplace(key, Recording{});
    ops();
    return;
  }
  Recording& recording = found->second;
  if (!std::exchange(recording.tried, true)) recording.executable = capture(stream, ops);
  if (!recording.executable) {
    ops();
    return;
  }
  check(cudaGraphLaunch(recording.executable.get(), stream), "running recorded ops");
}

bool RecordedOps::record(std::uint64_t key, cudaStream_t stream, const std::function<void()>& ops) {
  if (recorded_.size() >= kMaxRecorded && !recorded_.contains(key)) return false;
  Executable executable = capture(stream, ops);
  if (!executable) return false;
  recorded_[key] = {true, std::move(executable)};
  return true;
}

void RecordedOps::replay(std::uint64_t key, cudaStream_t stream) {
  const auto found = recorded_.find(key);
  if (found == recorded_.end() || !found->second.executable) {
    fail("cuda: nothing is recorded by the key {:x}", key);
  }
  check(cudaGraphLaunch(found->second.executable.get(), stream), "running recorded ops");
}

}  // namespace initrt::cuda
