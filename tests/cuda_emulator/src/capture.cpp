// Stream capture.
#include "capture.h"

#include <algorithm>
#include <utility>

namespace cuda_emulator {
namespace {

/// The captures that this thread has begun and that forbid it some calls.
std::vector<std::shared_ptr<Capture>>& captures_here() {
  static thread_local std::vector<std::shared_ptr<Capture>> captures;
  return captures;
}

}  // namespace

cudaError_t Capture::add(CUstream_st& stream, Operation operation) {
  if (!valid_) return cudaErrorStreamCaptureInvalidated;
  nodes_.push_back({std::move(operation), stream.captured_last});
  stream.captured_last = {nodes_.size() - 1};
  return cudaSuccess;
}

cudaError_t Capture::record(CUstream_st& stream, CUevent_st& event) {
  if (!valid_) return cudaErrorStreamCaptureInvalidated;
  event.capture = shared_from_this();
  event.nodes = stream.captured_last;
  return cudaSuccess;
}

cudaError_t Capture::wait(CUstream_st& stream, const CUevent_st& event) {
  if (!valid_) return cudaErrorStreamCaptureInvalidated;
  if (stream.capture != nullptr && stream.capture.get() != this)
    return invalidate(cudaErrorStreamCaptureMerge);
  if (stream.capture == nullptr) {
    stream.capture = shared_from_this();
    streams_.push_back(&stream);
  }
  for (const std::size_t node : event.nodes)
    if (std::ranges::find(stream.captured_last, node) == stream.captured_last.end())
      stream.captured_last.push_back(node);
  return cudaSuccess;
}

cudaError_t Capture::isolate() { return invalidate(cudaErrorStreamCaptureIsolation); }

cudaError_t Capture::invalidate(cudaError_t error) {
  valid_ = false;
  return error;
}

// Every node must come before one that the origin ends with.
bool Capture::joined() const {
  std::vector<bool> reached(nodes_.size());
  for (const std::size_t node : origin_->captured_last) reached[node] = true;
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    if (!reached[i]) return false;
    for (const std::size_t before : nodes_[i].after) reached[before] = true;
  }
  return true;
}

cudaError_t Capture::end(CUstream_st& stream, std::vector<Node>& nodes) {
  const std::shared_ptr<Capture> self = shared_from_this();
  if (&stream != origin_) return invalidate(cudaErrorStreamCaptureUnmatched);
  if (mode_ != cudaStreamCaptureModeRelaxed && thread_ != std::this_thread::get_id())
    return invalidate(cudaErrorStreamCaptureWrongThread);
  cudaError_t result = valid_ ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
  if (valid_ && !joined()) result = cudaErrorStreamCaptureUnjoined;
  streams_.push_back(origin_);
  for (CUstream_st* one : streams_) {
    one->capture = nullptr;
    one->captured_last.clear();
  }
  std::erase(captures_here(), self);
  valid_ = false;
  if (result == cudaSuccess) nodes = std::move(nodes_);
  return result;
}

cudaError_t refuse_in_capture() {
  cudaError_t result = cudaSuccess;
  for (const std::shared_ptr<Capture>& capture : captures_here())
    result = capture->invalidate(cudaErrorStreamCaptureUnsupported);
  return result;
}

cudaError_t refuse_in_capture(CUstream_st& stream) {
  if (stream.capture == nullptr) return cudaSuccess;
  return stream.capture->invalidate(cudaErrorStreamCaptureUnsupported);
}

}  // namespace cuda_emulator

using namespace cuda_emulator;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    if (stream == nullptr) return cudaErrorStreamCaptureUnsupported;
    if (on.capture != nullptr) return cudaErrorInvalidValue;
    on.capture = std::make_shared<Capture>(on, mode);
    if (mode != cudaStreamCaptureModeRelaxed) captures_here().push_back(on.capture);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    *status = on.capture == nullptr ? cudaStreamCaptureStatusNone
              : on.capture->valid() ? cudaStreamCaptureStatusActive
                                    : cudaStreamCaptureStatusInvalidated;
    return cudaSuccess;
  });
}
