// NCCL's collectives, alone and in groups. A group's are one operation of each of its streams.
#include <cstring>
#include <utility>

#include "communicator.h"
#include "memory.h"
#include "stream.h"

namespace cuda_emulator {
namespace {

/// Of a rank's own block.
struct Copy {
  std::byte* to;
  const std::byte* from;
  std::size_t bytes;
};

/// What a group asks of one communicator and stream.
struct Part {
  std::shared_ptr<Communicator> communicator;
  std::shared_ptr<CUstream_st> stream;
  std::vector<Transfer> transfers;
  std::vector<Copy> copies;
};

struct Group {
  int depth = 0;
  ncclResult_t failure = ncclSuccess;
  std::vector<Part> parts;
};

Group& group() {
  static thread_local Group instance;
  return instance;
}

std::size_t type_bytes(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
  }
  return 0;
}

bool reachable(const void* memory, std::size_t bytes) {
  const auto kind = kind_of(memory, bytes);
  return bytes == 0 || kind == MemoryKind::Device || kind == MemoryKind::Pinned;
}

Part& part_of(ncclComm_t comm, const std::shared_ptr<CUstream_st>& stream) {
  for (Part& part : group().parts)
    if (part.communicator == comm->communicator && part.stream == stream) return part;
  group().parts.push_back({comm->communicator, stream, {}, {}});
  return group().parts.back();
}

/// That a graph holds an operation: as long as a copy of this is there.
std::shared_ptr<void> held_by_graph(const std::shared_ptr<Communicator>& communicator) {
  ++communicator->recorded;
  return {nullptr, [communicator](void*) { --communicator->recorded; }};
}

ncclResult_t submit(Part part) {
  const ncclResult_t later = part.communicator->later();
  const std::shared_ptr<CUstream_st> stream = part.stream;
  part.stream = nullptr;  // which the operation would keep alive from its own thread
  std::shared_ptr<void> held;
  if (stream->capture != nullptr) held = held_by_graph(part.communicator);
  const cudaError_t submitted =
      stream->submit({[part = std::move(part), held = std::move(held)](CUstream_st&) {
        for (const Copy& copy : part.copies) std::memcpy(copy.to, copy.from, copy.bytes);
        part.communicator->run(part.transfers);
      }});
  return submitted == cudaSuccess ? later : ncclUnhandledCudaError;
}

/// Adds to the group that is open, or to one of its own.
template <class Add>
ncclResult_t collective(const char* function, ncclComm_t comm, cudaStream_t handle, Add&& add) {
  ncclGroupStart();
  ncclResult_t result = ncclSuccess;
  std::shared_ptr<CUstream_st> stream;
  if (const auto failure = Runtime::get().failure_of(function)) {
    result = static_cast<ncclResult_t>(*failure);
  } else if (comm == nullptr) {
    result = ncclInvalidArgument;
  } else if (state_of_device() != cudaSuccess) {
    result = ncclUnhandledCudaError;
  } else {
    stream = stream_of(handle);
    result = stream == nullptr || &stream->device != &comm->communicator->device()
                 ? ncclInvalidArgument
                 : comm->communicator->ready();
  }
  if (result == ncclSuccess) result = add(*comm->communicator, stream);
  if (result != ncclSuccess && group().failure == ncclSuccess) group().failure = result;
  const ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

ncclResult_t ncclGroupStart() {
  ++group().depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group().depth == 0) return ncclInvalidUsage;
  if (--group().depth > 0) return ncclSuccess;
  const Group ended = std::exchange(group(), {});
  if (ended.failure != ncclSuccess) return ended.failure;
  ncclResult_t result = ncclSuccess;
  for (const Part& part : ended.parts) {
    const ncclResult_t one = submit(part);
    if (one != ncclSuccess) result = one;
  }
  return result;
}

ncclResult_t ncclAllGather(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return collective(__func__, comm, stream, [&](Communicator& of, const auto& on) {
    const std::size_t bytes = count * type_bytes(type);
    const auto ranks = static_cast<std::size_t>(of.ranks());
    if (type_bytes(type) == 0 || !reachable(send, bytes) || !reachable(receive, bytes * ranks))
      return ncclInvalidArgument;
    Part& part = part_of(comm, on);
    auto* const to = static_cast<std::byte*>(receive);
    auto* const from = static_cast<std::byte*>(const_cast<void*>(send));
    for (int peer = 0; peer < of.ranks(); ++peer) {
      std::byte* const block = to + static_cast<std::size_t>(peer) * bytes;
      if (peer != of.rank()) {
        part.transfers.push_back({TransferKind::AllGather, true, peer, from, bytes});
        part.transfers.push_back({TransferKind::AllGather, false, peer, block, bytes});
      } else if (block != from) {
        part.copies.push_back({block, from, bytes});
      }
    }
    return ncclSuccess;
  });
}

ncclResult_t ncclSend(const void* send, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return collective(__func__, comm, stream, [&](Communicator& of, const auto& on) {
    const std::size_t bytes = count * type_bytes(type);
    if (type_bytes(type) == 0 || peer < 0 || peer >= of.ranks() || !reachable(send, bytes))
      return ncclInvalidArgument;
    auto* const from = static_cast<std::byte*>(const_cast<void*>(send));
    part_of(comm, on).transfers.push_back({TransferKind::SendReceive, true, peer, from, bytes});
    return ncclSuccess;
  });
}

ncclResult_t ncclRecv(void* receive, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return collective(__func__, comm, stream, [&](Communicator& of, const auto& on) {
    const std::size_t bytes = count * type_bytes(type);
    if (type_bytes(type) == 0 || peer < 0 || peer >= of.ranks() || !reachable(receive, bytes))
      return ncclInvalidArgument;
    auto* const to = static_cast<std::byte*>(receive);
    part_of(comm, on).transfers.push_back({TransferKind::SendReceive, false, peer, to, bytes});
    return ncclSuccess;
  });
}
