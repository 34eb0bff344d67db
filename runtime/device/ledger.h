// What this rank has allocated, by the memory plan's categories: at the end of loading the two must
// be equal to the byte.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "sharding/memory_plan.h"

namespace initrt {

/// Thread-safe. Buffers report themselves and must not outlive the ledger.
class Ledger {
 public:
  void add(MemoryCategory category, std::uint64_t bytes);
  void remove(MemoryCategory category, std::uint64_t bytes);

  /// Bytes held now, by category.
  [[nodiscard]] MemoryPlan held() const;
  /// The most bytes held at once, over all categories.
  [[nodiscard]] std::uint64_t peak() const { return peak_.load(); }

 private:
  std::array<std::atomic<std::uint64_t>, kMemoryCategories> held_{};
  std::atomic<std::uint64_t> total_{0};
  std::atomic<std::uint64_t> peak_{0};
};

/// An entry in a ledger for as long as it lives.
class LedgerEntry {
 public:
  LedgerEntry() = default;
  LedgerEntry(Ledger& ledger, MemoryCategory category, std::uint64_t bytes);
  LedgerEntry(LedgerEntry&& other) noexcept;
  LedgerEntry& operator=(LedgerEntry&& other) noexcept;
  LedgerEntry(const LedgerEntry&) = delete;
  LedgerEntry& operator=(const LedgerEntry&) = delete;
  ~LedgerEntry();

 private:
  Ledger* ledger_ = nullptr;
  MemoryCategory category_ = MemoryCategory::Shard;
  std::uint64_t bytes_ = 0;
};

}  // namespace initrt
