// Events: the last point of a stream that was recorded in each.
#include "event.h"

#include "capture.h"
#include "hidden.h"
#include "memory.h"

using namespace cuda_emulator;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api(__func__, [&] {
    *event = new CUevent_st;
    (*event)->timed = (flags & cudaEventDisableTiming) == 0;
    ++Runtime::get().counters.events;
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event == nullptr) return remember(cudaErrorInvalidResourceHandle);
  delete event;
  --Runtime::get().counters.events;
  return remember(state_of_device());
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (on.capture != nullptr) return on.capture->record(on, *event);
    // Dropping the record before orders nothing.
    auto point = std::make_shared<Completion>();
    {
      const Hidden hidden;
      event->point = point;
      event->capture = nullptr;
    }
    return on.submit({[point = std::move(point)](CUstream_st&) { point->signal(); }, true});
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return event->capture->wait(on, *event);
    if (on.capture != nullptr) return on.capture->isolate();
    if (event->point == nullptr) return cudaSuccess;
    return on.submit({[point = event->point](CUstream_st&) { point->wait(); }, true});
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return api(__func__, [&] {
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return event->capture->invalidate(cudaErrorCapturedEvent);
    if (event->point != nullptr && !event->point->reached()) return cudaErrorNotReady;
    close_unused();
    return state_of_device();
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return api(__func__, [&] {
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return event->capture->invalidate(cudaErrorCapturedEvent);
    count(Runtime::get().counters.host_synchronizations);
    if (event->point != nullptr) event->point->wait();
    close_unused();
    return state_of_device();
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api(__func__, [&] {
    if (start == nullptr || end == nullptr || !start->timed || !end->timed ||
        start->point == nullptr || end->point == nullptr)
      return cudaErrorInvalidResourceHandle;
    if (!start->point->reached() || !end->point->reached()) return cudaErrorNotReady;
    const std::chrono::duration<float, std::milli> between =
        end->point->time() - start->point->time();
    *milliseconds = between.count();
    return cudaSuccess;
  });
}
