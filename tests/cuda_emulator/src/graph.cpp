// Graphs: what a capture has noted, run again and again in any order that it allows.
#include <utility>

#include "capture.h"
#include "hidden.h"

namespace cuda_emulator {
namespace {

/// Nodes, and for each those that come after it.
struct Plan {
  std::vector<Node> nodes;
  std::vector<std::vector<std::size_t>> successors;
};

void run(const Plan& plan, CUstream_st& stream) {
  std::vector<std::size_t> missing(plan.nodes.size()), ready;
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    missing[i] = plan.nodes[i].after.size();
    if (missing[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    if (stream.device.failure.load(std::memory_order_relaxed) != cudaSuccess) return;
    std::swap(ready[stream.random.below(ready.size())], ready.back());
    const std::size_t node = ready.back();
    ready.pop_back();
    plan.nodes[node].operation.run(stream);
    for (const std::size_t next : plan.successors[node])
      if (--missing[next] == 0) ready.push_back(next);
  }
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

struct CUgraph_st {
  std::vector<Node> nodes;
};

struct CUgraphExec_st {
  std::shared_ptr<const Plan> plan;
};

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    *graph = nullptr;
    if (on.capture == nullptr) return cudaErrorIllegalState;
    std::vector<Node> nodes;
    if (const cudaError_t failed = on.capture->end(on, nodes); failed != cudaSuccess) return failed;
    *graph = new CUgraph_st{std::move(nodes)};
    ++Runtime::get().counters.graph_handles;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  return api(__func__, [&] {
    if (graph == nullptr) return cudaErrorInvalidValue;
    Plan plan;
    plan.nodes = graph->nodes;
    plan.successors.resize(plan.nodes.size());
    for (std::size_t i = 0; i < plan.nodes.size(); ++i)
      for (const std::size_t before : plan.nodes[i].after) plan.successors[before].push_back(i);
    *executable = new CUgraphExec_st{std::make_shared<const Plan>(std::move(plan))};
    ++Runtime::get().counters.graph_handles;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    if (executable == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t refused = refuse_in_capture(on); refused != cudaSuccess) return refused;
    count(Runtime::get().counters.graphs);
    return on.submit({[plan = executable->plan](CUstream_st& by) { run(*plan, by); }});
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (graph == nullptr) return remember(cudaErrorInvalidValue);
  delete graph;
  --Runtime::get().counters.graph_handles;
  return remember(state_of_device());
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  if (executable == nullptr) return remember(cudaErrorInvalidValue);
  {
    // Who holds a plan last frees it. Their count says who that is, but streams drop theirs hidden.
    const Hidden hidden;
    delete executable;
  }
  --Runtime::get().counters.graph_handles;
  return remember(state_of_device());
}
