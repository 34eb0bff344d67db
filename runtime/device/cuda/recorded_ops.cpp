#include "runtime/device/cuda/recorded_ops.h"

namespace initrt::cuda {
namespace {

/// The driver keeps some hundred bytes for each op of a graph, and numbers of rows seldom vary
/// more.
constexpr std::size_t kMostRecorded = 256;

}  // namespace

RecordedOps::Executable RecordedOps::record(cudaStream_t stream, const std::function<void()>& ops) {
  // Of this thread alone: others, which load, go on with what a recording must not contain.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording ops");
  cudaGraph_t made = nullptr;
  try {
    ops();
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &made));
    const Graph graph(made);
    throw;
  }
  check(cudaStreamEndCapture(stream, &made), "recording ops");
  const Graph graph(made);
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph.get(), 0), "preparing recorded ops");
  return Executable(executable);
}

void RecordedOps::run(std::uint64_t key, cudaStream_t stream, const std::function<void()>& ops) {
  const auto found = recorded_.find(key);
  if (found == recorded_.end()) {
    if (recorded_.size() < kMostRecorded) recorded_.emplace(key, nullptr);
    ops();
    return;
  }
  if (!found->second) found->second = record(stream, ops);
  check(cudaGraphLaunch(found->second.get(), stream), "running recorded ops");
}

}  // namespace initrt::cuda
