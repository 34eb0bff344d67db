// What an exchange between ranks takes: seconds of one with a few bytes, and bytes a second that a
// rank receives in one of many (mpi: in an all-gather, as of units), as JSON.
//
//   mpirun -np N link_bench mapped|mpi
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/comm/host_exchange.h"
#include "runtime/comm/mapped.h"
#include "runtime/comm/mpi.h"
#include "runtime/device/cpu/cpu_device.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kFewBytes = 4096, kManyBytes = 16u << 20;
constexpr int kWarmUp = 200, kRounds = 2000, kLargeRounds = 9;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// One unit, so that there is something to map.
Cut small_cut(std::uint32_t world) {
  Layout layout;
  UnitLayout unit;
  unit.params.push_back({.rows = 4096, .row_bytes = 1});
  unit.bytes = 4096;
  layout.units.push_back(unit);
  return make_cut(layout, world, {});
}

/// A send_receive() in which each rank sends every other the same bytes.
class Swap {
 public:
  Swap(RowLink& link, std::span<const std::byte> sent, std::uint32_t rank, std::uint32_t size)
      : link_(link), received_(sent.size() * size), out_(size), in_(size) {
    for (std::uint32_t peer = 0; peer < size; ++peer) {
      if (peer == rank) continue;
      out_[peer] = sent;
      in_[peer] = std::span(received_).subspan(peer * sent.size(), sent.size());
    }
  }
  void operator()() { link_.send_receive(out_, in_); }

 private:
  RowLink& link_;
  Bytes received_;
  std::vector<std::span<const std::byte>> out_;
  std::vector<std::span<std::byte>> in_;
};

double latency(Swap swap) {
  for (int i = 0; i < kWarmUp; ++i) swap();
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < kRounds; ++i) swap();
  return seconds_since(start) / kRounds;
}

// Bytes a second that a rank receives where `run` brings it `bytes`.
template <class Run>
double bandwidth(std::uint64_t bytes, Run run) {
  std::vector<double> times;
  for (int i = 0; i < kLargeRounds; ++i) {
    const Clock::time_point start = Clock::now();
    run();
    times.push_back(seconds_since(start));
  }
  return static_cast<double>(bytes) / median(times);
}

double bandwidth_of_all_gather(Communicator& comm) {
  const Bytes chunk(kManyBytes);
  Bytes whole(kManyBytes * comm.size());
  return bandwidth(kManyBytes * (comm.size() - 1),
                   [&] { comm.wait(comm.start_all_gather([] { return true; }, chunk, whole)); });
}

int measure(const std::string& communicator) {
  const MpiSession session;
  const bool spin = std::thread::hardware_concurrency() >= session.size();
  MpiCommunicator comm(session, spin, std::chrono::seconds(60));
  const auto device = make_cpu_device(best_instruction_set(), 1, spin);
  const bool mapped = communicator == "mapped";
  if (!mapped && communicator != "mpi") fail("mapped or mpi, not '{}'", communicator);
  Ledger ledger;
  const std::array<BufferPart, 1> parts{{{MemoryCategory::Exchange, kManyBytes}}};
  std::optional<MappedMemory> memory;
  std::unique_ptr<RowLink> link;
  if (mapped) {
    memory.emplace(comm, small_cut(comm.size()), ledger, kManyBytes);
    link = std::make_unique<MappedRows>(comm, *memory, spin);
  } else {
    link = std::make_unique<HostExchange>(comm);
  }
  const Buffer sent = link->allocate(*device, ledger, parts);
  const std::uint32_t rank = comm.rank(), size = comm.size();
  const double few = latency({*link, sent.span().first(kFewBytes), rank, size});
  const double many = mapped
                          ? bandwidth(kManyBytes * (size - 1), Swap(*link, sent.span(), rank, size))
                          : bandwidth_of_all_gather(comm);
  if (comm.rank() != 0) return 0;
  std::fputs(fmt::format("{{\"latency\": {:.3e}, \"link\": {:.4g}}}\n", few, many).c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace initrt

int main(int argc, char** argv) {
  try {
    return initrt::measure(argc > 1 ? argv[1] : "mpi");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "link_bench: %s\n", error.what());
    return 1;
  }
}
