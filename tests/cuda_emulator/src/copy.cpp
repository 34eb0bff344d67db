// Copies and fills. A copy's kind must be true of both of its ends; pageable memory is read when
// the copy is asked for and written before the call returns, as CUDA allows; pinned memory is read
// and written when the copy's turn comes.
#include <cstring>
#include <memory>
#include <vector>

#include "capture.h"
#include "memory.h"
#include "stream.h"

using namespace cuda_emulator;

namespace {

bool kind_is_true(cudaMemcpyKind kind, bool from_device, bool to_device) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !from_device && !to_device;
    case cudaMemcpyHostToDevice:
      return !from_device && to_device;
    case cudaMemcpyDeviceToHost:
      return from_device && !to_device;
    case cudaMemcpyDeviceToDevice:
      return from_device && to_device;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

// Rows of bytes, each a step behind the one before.
struct Rows {
  std::size_t bytes = 0, count = 1, from_step = 0, to_step = 0;

  // From the first byte to the last.
  [[nodiscard]] std::size_t span(std::size_t step) const { return (count - 1) * step + bytes; }
};

cudaError_t copy(CUstream_st& stream, void* to, const void* from, const Rows& rows,
                 cudaMemcpyKind kind, bool wait) {
  if (rows.bytes == 0 || rows.count == 0) return cudaSuccess;
  const auto source = kind_of(from, rows.span(rows.from_step));
  const auto destination = kind_of(to, rows.span(rows.to_step));
  if (from == nullptr || to == nullptr || !source || !destination) return cudaErrorInvalidValue;
  const bool from_device = *source == MemoryKind::Device;
  const bool to_device = *destination == MemoryKind::Device;
  if (!kind_is_true(kind, from_device, to_device)) return cudaErrorInvalidValue;
  const bool pageable = *source == MemoryKind::Pageable || *destination == MemoryKind::Pageable;
  if (pageable || wait) {
    if (const cudaError_t refused = refuse_in_capture(stream); refused != cudaSuccess)
      return refused;
  }

  const int direction = from_device ? (to_device ? 3 : 2) : (to_device ? 1 : 0);
  std::shared_ptr<const std::vector<std::byte>> staged;
  if (*source == MemoryKind::Pageable) {
    const auto* first = static_cast<const std::byte*>(from);
    staged =
        std::make_shared<const std::vector<std::byte>>(first, first + rows.span(rows.from_step));
  }
  // Moved, so that the stream is the one that drops it: what it drops is hidden, and orders
  // nothing.
  const cudaError_t submitted = stream.submit({[=, staged = std::move(staged)](CUstream_st&) {
    count(Runtime::get().counters.bytes[direction], rows.count * rows.bytes);
    auto* const out = static_cast<std::byte*>(to);
    const auto* const in = staged != nullptr ? staged->data() : static_cast<const std::byte*>(from);
    for (std::size_t i = 0; i < rows.count; ++i) {
      std::memcpy(out + i * rows.to_step, in + i * rows.from_step, rows.bytes);
    }
  }});
  if (submitted != cudaSuccess) return submitted;
  if (!wait && *destination != MemoryKind::Pageable) return cudaSuccess;
  count(Runtime::get().counters.host_synchronizations);
  stream.synchronize();
  return stream.device.failure;
}

cudaError_t fill(CUstream_st& stream, void* memory, int value, std::size_t bytes) {
  if (bytes == 0) return cudaSuccess;
  const auto kind = kind_of(memory, bytes);
  if (!kind || *kind == MemoryKind::Pageable) return cudaErrorInvalidValue;
  return stream.submit({[=](CUstream_st&) { std::memset(memory, value, bytes); }});
}

}  // namespace

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return stream_api(__func__, stream,
                    [&](CUstream_st& on) { return copy(on, to, from, {bytes}, kind, false); });
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_step, const void* from,
                              std::size_t from_step, std::size_t row_bytes, std::size_t rows,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    if (row_bytes > to_step || row_bytes > from_step) return cudaErrorInvalidPitchValue;
    return copy(on, to, from, {row_bytes, rows, from_step, to_step}, kind, false);
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return stream_api(__func__, nullptr, [&](CUstream_st& on) {
    if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
    return copy(on, to, from, {bytes}, kind, true);
  });
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  return stream_api(__func__, stream,
                    [&](CUstream_st& on) { return fill(on, memory, value, bytes); });
}

cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  return stream_api(__func__, nullptr, [&](CUstream_st& on) {
    if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
    return fill(on, memory, value, bytes);
  });
}
