// Ops that are asked for again and again with the same arguments, recorded as CUDA graphs: one
// launch for a whole sweep instead of hundreds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "runtime/device/cuda/handles.h"

namespace initrt::cuda {

class RecordedOps {
 public:
  /// As Device::repeat(), of ops that are put on `stream`. The first time with a key they run as
  /// they are, so that what is made on first use is made; the second time they are recorded.
  void run(std::uint64_t key, cudaStream_t stream, const std::function<void()>& ops);

  /// As Device::record() and Device::replay().
  [[nodiscard]] bool record(std::uint64_t key, cudaStream_t stream,
                            const std::function<void()>& ops);
  void replay(std::uint64_t key, cudaStream_t stream);

  /// Of memory that is no longer the same, or of what else must not outlive it.
  void forget() { recorded_.clear(); }

  /// Whether ops are being recorded, when nothing may be forgotten. Known here, not asked of the
  /// stream: after an error it may not answer.
  [[nodiscard]] bool is_capturing() const { return is_capturing_; }

 private:
  using Graph =
      std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, HandleDeleter<cudaGraphDestroy>>;
  using Executable =
      std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, HandleDeleter<cudaGraphExecDestroy>>;

  struct Recording {
    bool tried = false;
    Executable executable;  ///< null where not tried yet, and where it cannot be recorded
  };

  /// Null where something in `ops` cannot be recorded; nothing has run then.
  [[nodiscard]] Executable capture(cudaStream_t stream, const std::function<void()>& ops);

  std::map<std::uint64_t, Recording> recorded_;
  bool is_capturing_ = false;
};

}  // namespace initrt::cuda
