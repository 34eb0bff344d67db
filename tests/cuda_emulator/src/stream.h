// Streams: an OS thread each, which does what it is asked for in order.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "random.h"
#include "runtime.h"

namespace cuda_emulator {

class Capture;

/// A point that a stream reaches; what waits for it comes after what the stream did before.
class Completion {
 public:
  void signal();
  void wait();
  [[nodiscard]] bool reached();
  [[nodiscard]] std::chrono::steady_clock::time_point time();

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool reached_ = false;
  std::chrono::steady_clock::time_point time_;
};

/// What a stream is asked for. It may run again and again, where a graph holds it.
struct Operation {
  std::function<void(CUstream_st&)> run;
  /// Runs though the device has failed, and needs no device memory: events.
  bool is_event = false;
};

/// Of all devices where it is null; what they have been asked for is done first.
void destroy_streams(const Device* device);
void synchronize_streams(const Device& device);

/// The stream that a handle means, null being the current device's own; null: it is none.
[[nodiscard]] std::shared_ptr<CUstream_st> stream_of(cudaStream_t stream);

/// An API function of a stream, as api().
template <class Body>
cudaError_t stream_api(const char* function, cudaStream_t handle, Body&& body) {
  return api(function, [&] {
    const std::shared_ptr<CUstream_st> stream = stream_of(handle);
    return stream == nullptr ? cudaErrorInvalidResourceHandle : body(*stream);
  });
}

}  // namespace cuda_emulator

struct CUstream_st {
 public:
  CUstream_st(cuda_emulator::Device& device, std::uint64_t number, int priority = 0);
  ~CUstream_st();
  CUstream_st(const CUstream_st&) = delete;
  CUstream_st& operator=(const CUstream_st&) = delete;

  /// Adds to what is to be done, or to the capture.
  cudaError_t submit(cuda_emulator::Operation operation);

  /// Waits until all that was asked for by now is done.
  void synchronize();
  [[nodiscard]] bool idle();

  cuda_emulator::Device& device;
  const int priority;
  cuda_emulator::Random random;                     ///< the stream's own thread's
  std::shared_ptr<cuda_emulator::Capture> capture;  ///< the host thread's
  std::vector<std::size_t> captured_last;           ///< nodes that the next one comes after

 private:
  void work();
  void delay();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<cuda_emulator::Operation> queue_;
  std::uint64_t submitted_ = 0, done_ = 0;
  bool stopping_ = false;
  char order_in_ = 0, order_out_ = 0;  // tokens: host before stream, stream before host
  std::thread thread_;
};
