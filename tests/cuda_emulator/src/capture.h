// What streams are asked for while they are captured: the nodes of a graph to be.
#pragma once

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "event.h"
#include "stream.h"

namespace cuda_emulator {

struct Node {
  Operation operation;
  std::vector<std::size_t> after;  ///< earlier nodes
};

class Capture : public std::enable_shared_from_this<Capture> {
 public:
  Capture(CUstream_st& origin, cudaStreamCaptureMode mode) : mode_(mode), origin_(&origin) {}

  cudaError_t add(CUstream_st& stream, Operation operation);
  cudaError_t record(CUstream_st& stream, CUevent_st& event);
  /// Takes `stream` into the capture.
  cudaError_t wait(CUstream_st& stream, const CUevent_st& event);
  /// A captured stream was to wait for an event of no capture.
  cudaError_t isolate();
  /// Nothing comes of this capture; returns `error`.
  cudaError_t invalidate(cudaError_t error);

  /// Gives its streams back. @param nodes what was captured; unchanged where that is invalid
  cudaError_t end(CUstream_st& stream, std::vector<Node>& nodes);

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] cudaStreamCaptureMode mode() const { return mode_; }

 private:
  [[nodiscard]] bool joined() const;

  cudaStreamCaptureMode mode_;
  std::thread::id thread_ = std::this_thread::get_id();
  CUstream_st* origin_;
  std::vector<CUstream_st*> streams_;  ///< beside the origin
  std::vector<Node> nodes_;
  bool valid_ = true;
};

/// For calls that may not be made by a thread that captures: invalidates its captures and returns
/// an error, or cudaSuccess where it has none.
cudaError_t refuse_in_capture();

/// The same, for calls that a captured stream does not take, whoever makes them.
cudaError_t refuse_in_capture(CUstream_st& stream);

}  // namespace cuda_emulator
