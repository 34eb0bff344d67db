#include "runtime/device/ledger.h"

#include <utility>

namespace initrt {

void Ledger::add(MemoryCategory category, std::uint64_t bytes) {
  held_[static_cast<std::size_t>(category)] += bytes;
  const std::uint64_t total = total_.fetch_add(bytes) + bytes;
  std::uint64_t peak = peak_.load();
  while (total > peak && !peak_.compare_exchange_weak(peak, total)) {
  }
}

void Ledger::remove(MemoryCategory category, std::uint64_t bytes) {
  held_[static_cast<std::size_t>(category)] -= bytes;
  total_ -= bytes;
}

MemoryPlan Ledger::held() const {
  MemoryPlan now;
  for (std::size_t i = 0; i < kMemoryCategories; ++i) now.bytes[i] = held_[i].load();
  return now;
}

LedgerEntry::LedgerEntry(Ledger& ledger, MemoryCategory category, std::uint64_t bytes)
    : ledger_(&ledger), category_(category), bytes_(bytes) {
  ledger_->add(category_, bytes_);
}

LedgerEntry::LedgerEntry(LedgerEntry&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)),
      category_(other.category_),
      bytes_(other.bytes_) {}

LedgerEntry& LedgerEntry::operator=(LedgerEntry&& other) noexcept {
  LedgerEntry old(std::move(other));  // removed here, not when `other` goes
  std::swap(ledger_, old.ledger_);
  std::swap(category_, old.category_);
  std::swap(bytes_, old.bytes_);
  return *this;
}

LedgerEntry::~LedgerEntry() {
  if (ledger_ != nullptr) ledger_->remove(category_, bytes_);
}

}  // namespace initrt
