// NCCL's functions of communicators.
#include <nccl.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <random>

#include "communicator.h"
#include "memory.h"

using namespace cuda_emulator;

namespace {

std::optional<ncclResult_t> failure_of(const char* function) {
  const auto failure = Runtime::get().failure_of(function);
  if (!failure) return std::nullopt;
  return static_cast<ncclResult_t>(*failure);
}

ncclResult_t result_of(cudaError_t error) {
  return error == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

/// What ncclMemAlloc() gave, which only ncclMemFree() takes.
class NcclMemory {
 public:
  static NcclMemory& get() {
    static NcclMemory* const instance = new NcclMemory;
    return *instance;
  }
  void add(void* memory, std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    bytes_[memory] = bytes;
    Runtime::get().counters.nccl_bytes += static_cast<std::int64_t>(bytes);
  }
  bool remove(void* memory) {
    const std::scoped_lock lock(mutex_);
    const auto found = bytes_.find(memory);
    if (found == bytes_.end()) return false;
    Runtime::get().counters.nccl_bytes -= static_cast<std::int64_t>(found->second);
    bytes_.erase(found);
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<void*, std::size_t> bytes_;
};

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (const auto failure = failure_of(__func__)) return *failure;
  std::random_device random;
  const std::string name = "cuda_emulator." + std::to_string(getpid()) + "." +
                           std::to_string(random()) + std::to_string(random());
  *id = {};
  name.copy(id->internal, sizeof id->internal - 1);
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
      return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
      return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument:
      return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage:
      return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    case ncclNumResults:
      break;
  }
  return "unknown result code";
}

const char* ncclGetLastError(ncclComm_t comm) {
  if (comm == nullptr) return "";
  comm->last_error = comm->communicator->last_error();
  return comm->last_error.c_str();
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  *comm = nullptr;
  if (const auto failure = failure_of("ncclCommInitRankConfig")) return *failure;
  Device* device = Runtime::get().current_device();
  if (device == nullptr || device->failure != cudaSuccess) return ncclUnhandledCudaError;
  const std::string name(id.internal, strnlen(id.internal, sizeof id.internal));
  if (ranks < 1 || rank < 0 || rank >= ranks || name.empty()) return ncclInvalidArgument;
  if (config != nullptr && config->magic != 0xcafebeef) return ncclInvalidArgument;
  const bool blocking = config == nullptr || config->blocking != 0;
  auto communicator = std::make_shared<Communicator>(name, ranks, rank, blocking, *device);
  const ncclResult_t result = communicator->start();
  if (result == ncclSuccess || result == ncclInProgress)
    *comm = new ncclComm{std::move(communicator), {}};
  return result;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  return ncclCommInitRankConfig(comm, ranks, id, rank, nullptr);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  if (const auto failure = failure_of(__func__)) return *failure;
  if (comm == nullptr) return ncclInvalidArgument;
  return comm->communicator->ready();
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  comm->communicator->wait_for_graphs();
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  comm->communicator->abort();
  comm->communicator->wait_for_graphs();
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  if (const auto failure = failure_of(__func__)) return *failure;
  if (comm == nullptr || error == nullptr) return ncclInvalidArgument;
  *error = comm->communicator->state();
  return ncclSuccess;
}

ncclResult_t ncclCommCount(ncclComm_t comm, int* count) {
  *count = comm->communicator->ranks();
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(ncclComm_t comm, int* rank) {
  *rank = comm->communicator->rank();
  return ncclSuccess;
}

ncclResult_t ncclMemAlloc(void** memory, std::size_t bytes) {
  if (const auto failure = failure_of(__func__)) return *failure;
  const ncclResult_t result = result_of(cudaMalloc(memory, bytes));
  if (result == ncclSuccess) NcclMemory::get().add(*memory, bytes);
  return result;
}

ncclResult_t ncclMemFree(void* memory) {
  if (!NcclMemory::get().remove(memory)) return ncclInvalidArgument;
  return result_of(cudaFree(memory));
}

ncclResult_t ncclCommRegister(ncclComm_t comm, void* memory, std::size_t bytes, void** handle) {
  if (const auto failure = failure_of(__func__)) return *failure;
  if (const ncclResult_t result = comm->communicator->ready(); result != ncclSuccess) return result;
  if (kind_of(memory, bytes) != MemoryKind::Device) return ncclInvalidArgument;
  comm->communicator->registered.insert(memory);
  *handle = memory;
  return ncclSuccess;
}

ncclResult_t ncclCommDeregister(ncclComm_t comm, void* handle) {
  return comm->communicator->registered.erase(handle) > 0 ? ncclSuccess : ncclInvalidArgument;
}
