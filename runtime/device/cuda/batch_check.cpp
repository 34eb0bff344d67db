#include "runtime/device/cuda/batch_check.h"

#include <algorithm>

#include "runtime/device/cuda/handles.h"
#include "runtime/device/cuda/kernels.h"

namespace initrt::cuda {
namespace {

/// The most blocks that are tried at once, and the most memory for their outputs: two are tried in
/// any case.
constexpr std::uint64_t kMaxBlocks = 8, kMaxBytes = 128u << 20;

/// HandleDeleter once it has been used: all that is on the stream has ended by then.
class Memory {
 public:
  explicit Memory(std::uint64_t bytes) {
    if (cudaMalloc(&data_, bytes) == cudaSuccess) return;
    static_cast<void>(cudaGetLastError());
    data_ = nullptr;
  }
  ~Memory() { static_cast<void>(cudaFree(data_)); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  void* data_ = nullptr;
};

}  // namespace

std::uint64_t blocks_to_try(const BatchShape& shape) {
  const std::uint64_t room = kMaxBytes / (shape.out_step * sizeof(float));
  return std::min({shape.most_blocks, kMaxBlocks, std::max<std::uint64_t>(2, room)});
}

BatchTrial try_batches(
    cudaStream_t stream, const BatchShape& shape,
    const std::function<void(const BatchOperands&, std::uint64_t blocks)>& multiply) {
  const std::uint64_t out_bytes = shape.out_step * sizeof(float);
  const std::uint64_t most = blocks_to_try(shape);
  const Memory weight(bytes_of(shape.dtype, shape.weights));
  const Memory in(bytes_of(shape.dtype, most * shape.in_step));
  const Memory alone(most * out_bytes), together(most * out_bytes), flag(sizeof(std::uint32_t));
  for (const Memory* one : {&weight, &in, &alone, &together, &flag}) {
    if (one->data() == nullptr) return BatchTrial::NoMemory;
  }
  auto* const differ = reinterpret_cast<std::uint32_t*>(flag.data());
  check(cudaMemsetAsync(differ, 0, sizeof *differ, stream), "clearing memory");
  for (const Memory* one : {&alone, &together}) {  // between rows nothing is written
    check(cudaMemsetAsync(one->data(), 0, most * out_bytes, stream), "clearing memory");
  }
  fill_random(stream, shape.dtype, weight.data(), shape.weights, 1);
  fill_random(stream, shape.dtype, in.data(), most * shape.in_step, 2);
  auto* const blocks_alone = reinterpret_cast<float*>(alone.data());
  for (std::uint64_t i = 0; i < most; ++i) {
    multiply({weight.data(), in.data() + bytes_of(shape.dtype, i * shape.in_step),
              blocks_alone + i * shape.out_step},
             1);
  }
  for (std::uint64_t blocks = 2; blocks <= most; ++blocks) {
    multiply({weight.data(), in.data(), reinterpret_cast<float*>(together.data())}, blocks);
    note_difference(stream, alone.data(), together.data(), blocks * out_bytes, differ);
  }
  std::uint32_t found = 0;
  check(cudaMemcpyAsync(&found, differ, sizeof found, cudaMemcpyDeviceToHost, stream),
        "copying from the GPU");
  check(cudaStreamSynchronize(stream), "trying products");
  return found == 0 ? BatchTrial::Same : BatchTrial::Differs;
}

}  // namespace initrt::cuda
