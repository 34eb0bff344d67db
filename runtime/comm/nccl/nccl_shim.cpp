// The functions of NCCL that are used, each of which calls the library's.
#include <nccl.h>

#include "runtime/device/cuda/shared_library.h"

namespace {

const initrt::cuda::SharedLibrary& library() {
  static const initrt::cuda::SharedLibrary opened(
      "libnccl.so.2", INITRT_NCCL_LIBRARY,
      "gathering between GPUs needs it; LD_LIBRARY_PATH can say where it is, and "
      "sharding.communicator: mpi does without it");
  return opened;
}

}  // namespace

#define NCCL(function) INITRT_FUNCTION_OF(library, function)

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) { return NCCL(ncclGetUniqueId)(id); }

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  return NCCL(ncclCommInitRankConfig)(comm, ranks, id, rank, config);
}

ncclResult_t ncclCommAbort(ncclComm_t comm) { return NCCL(ncclCommAbort)(comm); }

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  return NCCL(ncclCommGetAsyncError)(comm, error);
}

const char* ncclGetErrorString(ncclResult_t result) { return NCCL(ncclGetErrorString)(result); }

const char* ncclGetLastError(ncclComm_t comm) { return NCCL(ncclGetLastError)(comm); }

ncclResult_t ncclMemAlloc(void** memory, size_t bytes) { return NCCL(ncclMemAlloc)(memory, bytes); }

ncclResult_t ncclMemFree(void* memory) { return NCCL(ncclMemFree)(memory); }

ncclResult_t ncclCommRegister(const ncclComm_t comm, void* memory, size_t bytes, void** handle) {
  return NCCL(ncclCommRegister)(comm, memory, bytes, handle);
}

ncclResult_t ncclCommDeregister(const ncclComm_t comm, void* handle) {
  return NCCL(ncclCommDeregister)(comm, handle);
}

ncclResult_t ncclAllGather(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return NCCL(ncclAllGather)(send, receive, count, type, comm, stream);
}

ncclResult_t ncclSend(const void* send, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return NCCL(ncclSend)(send, count, type, peer, comm, stream);
}

ncclResult_t ncclRecv(void* receive, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return NCCL(ncclRecv)(receive, count, type, peer, comm, stream);
}

ncclResult_t ncclGroupStart() { return NCCL(ncclGroupStart)(); }

ncclResult_t ncclGroupEnd() { return NCCL(ncclGroupEnd)(); }
