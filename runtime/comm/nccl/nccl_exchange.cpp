#include "runtime/comm/nccl/nccl_exchange.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/comm/nccl/nccl.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using namespace std::chrono_literals;

constexpr auto kPause = 20us;  // between looks at what is under way
// Before that many, a sleep would cost more than most of what is waited for.
constexpr int kLooksInARow = 500;

void pause(int looks) {
  if (looks < kLooksInARow) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

struct NcclExchange::Pending final : Gathering {
  Interval interval() const override { return {begun->time(), ended->time()}; }

  std::function<bool()> ready;  ///< empty once posted
  FenceHandle free;
  std::span<const std::byte> chunk;
  std::span<std::byte> whole;
  StampHandle begun, ended;  ///< once posted, where gatherings are timed
  FenceHandle gathered;      ///< once posted
};

NcclExchange::NcclExchange(cuda::CudaDevice& device, Communicator& base, bool timed)
    : device_(device),
      base_(base),
      timed_(timed),
      // Its few blocks of threads would otherwise wait behind those of a product's thousands.
      stream_(cuda::make_stream(cuda::Priority::High)) {
  std::vector<std::byte> bytes(sizeof(ncclUniqueId));
  ncclUniqueId id{};
  if (base.rank() == 0) {
    if (const ncclResult_t result = ncclGetUniqueId(&id); result != ncclSuccess) {
      fail("nccl: making an id: {}", ncclGetErrorString(result));
    }
    std::memcpy(bytes.data(), &id, sizeof id);
  }
  base.broadcast(bytes, 0);
  std::memcpy(&id, bytes.data(), sizeof id);
  try {
    connect(id);
  } catch (...) {
    abort();  // no destructor will
    throw;
  }
}

// Without blocking, so that a rank that never comes is told by the base communicator's watch. The
// first collective is made here: it loads kernels and connects, which must not happen while the GPU
// waits for another rank.
void NcclExchange::connect(const ncclUniqueId& id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  settle(ncclCommInitRankConfig(&comm_, static_cast<int>(base_.size()), id,
                                static_cast<int>(base_.rank()), &config),
         "connecting the ranks");
  Ledger unplanned;  // given back at once
  const std::size_t ranks = base_.size();
  const BufferPart part{MemoryCategory::Scratch, (ranks + 1) * 16};
  const Buffer scratch = cuda::allocate_device_memory(unplanned, std::span(&part, 1));
  settle(ncclAllGather(scratch.data() + ranks * 16, scratch.data(), 16, ncclUint8, comm_,
                       stream_.get()),
         "a first collective");
  const cuda::CudaFence done(stream_.get());
  for (int looks = 0; !done.passed(); ++looks) {
    check();
    pause(looks);
  }
}

NcclExchange::~NcclExchange() { abort(); }

// What is under way may never end, if another rank is gone; at rest there is nothing to lose.
// NCCL waits until no graph holds an operation of the communicator, aborted or not: recordings go
// first, and where one is being made, the communicator goes with the destructor.
void NcclExchange::abort() {
  if (comm_ == nullptr || device_.is_recording()) return;
  device_.forget_recorded();
  static_cast<void>(ncclCommAbort(std::exchange(comm_, nullptr)));
}

ncclComm_t NcclExchange::connected() const {
  if (comm_ == nullptr) fail("nccl: the ranks are not connected any more");
  return comm_;
}

void NcclExchange::check_base() {
  try {
    base_.check();
  } catch (...) {
    abort();
    throw;
  }
}

void NcclExchange::settle(ncclResult_t result, const char* what) {
  for (int looks = 0; result == ncclInProgress; ++looks) {
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &result);
    if (asked != ncclSuccess) result = asked;
    if (result != ncclInProgress) break;
    check_base();
    pause(looks);
  }
  if (result == ncclSuccess) return;
  const char* detail = ncclGetLastError(comm_);
  std::string message = fmt::format("nccl: {}: {}", what, ncclGetErrorString(result));
  if (detail != nullptr && *detail != 0) message += fmt::format(": {}", detail);
  abort();
  fail("{}", message);
}

void NcclExchange::check() {
  check_base();
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(connected(), &state);
  if (asked != ncclSuccess) state = asked;
  if (state != ncclInProgress) settle(state, "a collective");
  post_ready();  // while this rank waits, others wait for what it has not posted
}

// NCCL's own memory, which GPUs of a node map from each other: of cudaMalloc's it makes no use of
// being registered there. NCCL rounds it up, to as much as 512 MB where GPUs have multicast.
Buffer NcclExchange::allocate(DeviceMemory& device, Ledger& ledger,
                              std::span<const BufferPart> parts) {
  const std::uint64_t bytes = bytes_of(parts);
  void* memory = nullptr;
  if (bytes == 0 || ncclMemAlloc(&memory, bytes) != ncclSuccess) {
    static_cast<void>(cudaGetLastError());  // of what has been refused
    return device.allocate(ledger, parts);  // which says so where there is no memory at all
  }
  return cuda::take_device_memory(ledger, parts, memory,
                                  [](std::byte* data) { static_cast<void>(ncclMemFree(data)); });
}

// On all ranks or on none: they must not differ in what a collective uses. Where the library cannot
// register memory, or not this, it copies through buffers of its own.
std::shared_ptr<void> NcclExchange::prepare(std::span<std::byte> memory) {
  void* registration = nullptr;
  const auto mine = static_cast<std::uint8_t>(
      !memory.empty() &&
      ncclCommRegister(connected(), memory.data(), memory.size(), &registration) == ncclSuccess &&
      registration != nullptr);  // as where NCCL_LOCAL_REGISTER switches it off
  std::vector<std::uint8_t> all(base_.size());
  base_.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  if (std::find(all.begin(), all.end(), 0) != all.end()) {
    if (mine != 0) static_cast<void>(ncclCommDeregister(comm_, registration));
    return nullptr;
  }
  return {registration, [this](void* handle) {
            if (comm_ != nullptr) static_cast<void>(ncclCommDeregister(comm_, handle));
          }};
}

GatheringHandle NcclExchange::start_all_gather(std::function<bool()> ready, FenceHandle free,
                                               std::span<const std::byte> chunk,
                                               std::span<std::byte> whole) {
  auto pending = std::make_shared<Pending>();
  pending->ready = ready ? std::move(ready) : [] { return true; };
  pending->free = std::move(free);
  pending->chunk = chunk;
  pending->whole = whole;
  pending_.push_back(pending);
  post_ready();
  return pending;
}

void NcclExchange::post_ready() {
  while (!pending_.empty() && pending_.front()->ready()) {
    post(*pending_.front());
    pending_.pop_front();
  }
}

void NcclExchange::post(Pending& pending) {
  static_cast<void>(connected());
  cuda::run_after(stream_.get(), pending.free);
  if (timed_) pending.begun = device_.stamp(stream_.get());
  settle(ncclAllGather(pending.chunk.data(), pending.whole.data(), pending.chunk.size(), ncclUint8,
                       comm_, stream_.get()),
         "gathering a unit");
  if (timed_) pending.ended = device_.stamp(stream_.get());
  pending.gathered = std::make_shared<cuda::CudaFence>(stream_.get());
  pending.ready = nullptr;
}

void NcclExchange::finish(const GatheringHandle& gathering) {
  const auto& pending = static_cast<const Pending&>(*gathering);
  post_ready();
  for (int looks = 0; !pending.gathered; ++looks) {
    check();
    pause(looks);
  }
  device_.after(pending.gathered);
}

// In order with the gatherings: those before it are posted first, on every rank.
void NcclExchange::send_receive(PartsToSend out, PartsToReceive in) {
  post_ready();
  for (int looks = 0; !pending_.empty(); ++looks) {
    check();
    pause(looks);
  }
  static_cast<void>(connected());
  cuda::run_after(stream_.get(), device_.fence());
  settle(ncclGroupStart(), "beginning to send rows");
  ncclResult_t sent = ncclSuccess, received = ncclSuccess;
  for (std::size_t peer = 0; peer < out.size(); ++peer) {
    if (!out[peer].empty() && sent == ncclSuccess) {
      sent = ncclSend(out[peer].data(), out[peer].size(), ncclUint8, static_cast<int>(peer), comm_,
                      stream_.get());
    }
    if (!in[peer].empty() && received == ncclSuccess) {
      received = ncclRecv(in[peer].data(), in[peer].size(), ncclUint8, static_cast<int>(peer),
                          comm_, stream_.get());
    }
  }
  const ncclResult_t ended = ncclGroupEnd();  // in any case: an open group takes in what follows
  settle(sent, "sending rows");
  settle(received, "receiving rows");
  settle(ended, "sending and receiving rows");
  device_.after(std::make_shared<cuda::CudaFence>(stream_.get()));
}

namespace nccl {

bool is_built() { return true; }

std::unique_ptr<Exchange> make_exchange(DeviceMemory& device, Communicator& base, bool timed) {
  return std::make_unique<NcclExchange>(dynamic_cast<cuda::CudaDevice&>(device), base, timed);
}

}  // namespace nccl
}  // namespace initrt
