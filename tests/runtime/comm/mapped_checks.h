// What mapped memory must do, as functions that each rank of a world calls.
#pragma once

#include <functional>

#include "runtime/comm/mapped.h"
#include "tests/runtime/comm/collective_checks.h"

namespace initrt::mapped_checks {

using collective_checks::Bytes;
using collective_checks::expect_pattern;
using collective_checks::pattern;

/// Units of uneven sizes: empty, less than a page, uneven, and more than a huge page a chunk.
inline Cut uneven_cut(std::uint32_t world, const std::vector<bool>& resident) {
  Layout layout;
  for (const std::uint64_t bytes : {100ull, 4096ull, 0ull, 1234567ull, 70000ull, 5ull << 20}) {
    UnitLayout unit;
    unit.params.push_back({.rows = bytes, .row_bytes = 1});
    unit.bytes = bytes;
    layout.units.push_back(unit);
  }
  return make_cut(layout, world, resident);
}

inline void fill_chunk(const MappedMemory& memory, const Cut& cut, std::uint32_t unit,
                       std::uint32_t rank) {
  const Bytes chunk = pattern(cut.units[unit].chunk_bytes, rank, unit);
  if (chunk.empty()) return;
  std::memcpy(memory.shard().data() + cut.chunk_offset(unit, rank), chunk.data(), chunk.size());
}

inline void expect_unit(const MappedMemory& memory, const Cut& cut, std::uint32_t unit) {
  const std::uint64_t chunk = cut.units[unit].chunk_bytes;
  for (std::uint32_t rank = 0; rank < cut.world; ++rank) {
    const WholeUnit whole = memory.unit(unit);
    expect_pattern({whole.base + rank * whole.stride, static_cast<std::size_t>(chunk)}, rank, unit,
                   "a mapped unit");
  }
}

/// Every rank fills its chunks one unit after the other and reads whole units as they appear.
inline void units_appear_as_published(Communicator& base, const Cut& cut) {
  Ledger ledger;
  MappedMemory memory(base, cut, ledger);
  if (ledger.held()[MemoryCategory::Shard] != cut.chunks_bytes ||
      ledger.held()[MemoryCategory::Resident] != cut.resident_bytes) {
    fail("the ledger holds other bytes than the cut");
  }
  for (const std::byte byte : memory.shard()) {
    if (byte != std::byte{0}) fail("a mapped shard is not zero at first");
  }
  if (memory.published() != 0) fail("units are published before they are there");
  const auto units = static_cast<std::uint32_t>(cut.units.size());
  std::mt19937 random(base.rank() + 1);
  for (std::uint32_t unit = 0; unit < units; ++unit) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    fill_chunk(memory, cut, unit, base.rank());
    memory.publish(unit + 1);
    if (unit % 2 == 0) continue;
    memory.wait_published(unit + 1, [] {});
    for (std::uint32_t seen = 0; seen <= unit; ++seen) expect_unit(memory, cut, seen);
  }
  memory.wait_published(units, [] {});
  if (memory.published() != units) fail("{} of {} units are published", memory.published(), units);
  for (std::uint32_t unit = 0; unit < units; ++unit) expect_unit(memory, cut, unit);
}

/// Calls body with small all-gathers going through mapped memory.
inline void with_mapped(Communicator& base, bool spin,
                        const std::function<void(Communicator&)>& body) {
  Ledger ledger;
  MappedMemory memory(base, uneven_cut(base.size(), {}), ledger);
  MappedCommunicator comm(base, memory, spin);
  body(comm);
}

}  // namespace initrt::mapped_checks
