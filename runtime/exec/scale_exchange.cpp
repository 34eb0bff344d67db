#include "runtime/exec/scale_exchange.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "runtime/convert/scale_codes.h"
#include "runtime/device/start_thread.h"
#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt {

ScaleExchange::ScaleExchange(const Graph& graph, const Layout& layout, const Cut& cut,
                             Communicator& comm, DeviceMemory& device, Arrivals& arrivals,
                             std::span<std::byte> shard, Ledger& ledger)
    : cut_(cut),
      comm_(comm),
      device_(device),
      arrivals_(arrivals),
      shard_(shard),
      sizes_(scale_memory(graph, layout, comm.size())),
      rank_(comm.rank()),
      unit_count_(static_cast<std::uint32_t>(graph.units.size())) {
  for (std::uint32_t unit = 0; unit < unit_count_; ++unit) {
    numbers_.push_back(static_cast<std::uint32_t>(units_.size()));
    UnitScales scales = unit_scales(graph, layout, unit, comm.size());
    if (!scales.params.empty()) units_.push_back({unit, std::move(scales), nullptr});
  }
  memory_ = device.allocate_host(ledger, MemoryCategory::Staging, sizes_.bytes());
}

ScaleExchange::~ScaleExchange() {
  stop();
  settle();
}

void ScaleExchange::start(std::function<void(std::uint32_t)> coded) {
  coded_hook_ = std::move(coded);
  // It looks at nothing before something has been made.
  thread_ = start_thread("the thread that codes scales", [this] {
    try {
      work();
    } catch (...) {
      arrivals_.fail(std::current_exception());
      stop();
    }
  });
  for (std::size_t number = 0; number < units_.size(); ++number) {
    const std::uint64_t bytes = units_[number].scales.message_bytes;
    units_[number].gathering = comm_.start_all_gather(
        [this, number] {
          arrivals_.check();
          return told_.load(std::memory_order_acquire) > number;
        },
        message().first(bytes), message().subspan(sizes_.message_bytes, bytes * comm_.size()));
  }
}

std::byte* ScaleExchange::floats(std::uint32_t unit) {
  const std::size_t number = numbers_[unit];
  if (number == units_.size() || units_[number].unit != unit) return nullptr;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_ || number < coded_ + ScaleMemory::kSlots; });
  if (stopped_) fail("loading was stopped");
  return slot(number);
}

void ScaleExchange::made(std::uint32_t units) {
  {
    const std::lock_guard lock(mutex_);
    made_ = units;
  }
  changed_.notify_all();
}

void ScaleExchange::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

void ScaleExchange::finish() { settle(); }

// Ends the thread, and what it has not waited for.
void ScaleExchange::settle() {
  if (thread_.joinable()) thread_.join();
  for (CodedUnit& unit : units_) {
    if (!unit.gathering) continue;
    try {
      comm_.wait(unit.gathering);
    } catch (...) {  // NOLINT(bugprone-empty-catch): the failure has been seen; this only waits
    }
    unit.gathering = nullptr;
  }
  memory_ = {};
}

bool ScaleExchange::wait_until_made(std::uint32_t unit) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_ || made_ > unit; });
  return made_ > unit;
}

void ScaleExchange::work() {
  for (std::uint32_t unit = 0; unit < unit_count_; ++unit) {
    if (!wait_until_made(unit)) return;
    const std::size_t number = numbers_[unit];
    if (number < units_.size() && units_[number].unit == unit) {
      write_message(number);
      told_.store(number + 1, std::memory_order_release);
      comm_.wait(std::exchange(units_[number].gathering, nullptr));
      code(number);
      const std::lock_guard lock(mutex_);
      coded_ = number + 1;
    }
    changed_.notify_all();
    coded_hook_(unit + 1);
  }
}

// This rank's and, behind it, all ranks' in turn.
std::span<std::byte> ScaleExchange::message() const {
  return memory_.span().subspan(ScaleMemory::kSlots * sizes_.slot_bytes);
}

std::span<const float> ScaleExchange::own(const CodedScales& scales, std::size_t number) const {
  return {reinterpret_cast<const float*>(slot(number) + scales.floats),
          scales.end_of(rank_) - scales.begin_of(rank_)};
}

// Of each parameter the sum, the first scales and the last ones.
void ScaleExchange::write_message(std::size_t number) {
  for (const CodedScales& scales : units_[number].scales.params) {
    const std::span<const float> floats = own(scales, number);
    const SumWords sum = exact_sum(floats);
    std::byte* const out = message().data() + scales.message;
    std::memcpy(out, sum.data(), sizeof sum);
    std::vector<float> told(2 * scales.told);
    const std::uint64_t count = std::min<std::uint64_t>(scales.told, floats.size());
    std::copy_n(floats.begin(), count, told.begin());
    std::copy_n(floats.end() - static_cast<std::ptrdiff_t>(count), count,
                told.end() - static_cast<std::ptrdiff_t>(count));
    std::ranges::copy(std::as_bytes(std::span(told)), out + sizeof sum);
  }
}

void ScaleExchange::code(std::size_t number) {
  for (const CodedScales& scales : units_[number].scales.params) code(scales, number);
}

void ScaleExchange::code(const CodedScales& scales, std::size_t number) {
  const CodedUnit& unit = units_[number];
  const std::byte* const all = message().data() + sizes_.message_bytes + scales.message;
  SumWords sum{};
  for (std::uint32_t rank = 0; rank < comm_.size(); ++rank) {
    SumWords words;
    std::memcpy(words.data(), all + rank * unit.scales.message_bytes, sizeof words);
    add_to(sum, words);
  }
  const float offset = mean_of(sum, scales.rows * scales.row_scales);
  const std::uint64_t scales_offset = cut_.chunk_offset(unit.unit, rank_) +
                                      cut_.units[unit.unit].params[scales.param].scales_offset;
  const std::uint64_t first_row = scales.first_row(rank_);
  const std::uint64_t rows = scales.first_row(rank_ + 1) - first_row;
  const std::span<std::byte> codes{slot(number) + scales.codes,
                                   rows * coded_scale_row(scales.columns).bytes()};
  code_scales(own(scales, number), first_row, scales.columns, offset,
              magnitudes(scales, number, offset), codes.data());
  device_.store(codes, shard_.data() + scales_offset);
}

std::vector<float> ScaleExchange::magnitudes(const CodedScales& scales, std::size_t number,
                                             float offset) const {
  const std::uint64_t begin = scales.begin_of(rank_), end = scales.end_of(rank_);
  std::vector<float> found = block_magnitudes(own(scales, number), begin, offset);
  if (found.empty()) return found;
  // What other ranks have of the first block and of the last one.
  const auto look_at = [&](std::uint64_t from, std::uint64_t to, float& magnitude) {
    for (std::uint64_t at = from; at < to; ++at) {
      const float scale = told_scale(scales, units_[number].scales.message_bytes, at);
      magnitude = std::max(magnitude, std::abs(scale - offset));
    }
  };
  look_at(begin / kScaleBlock * kScaleBlock, begin, found.front());
  const std::uint64_t all = scales.rows * scales.row_scales;
  look_at(end, std::min(divide_up(end, kScaleBlock) * kScaleBlock, all), found.back());
  return found;
}

// A scale near the edge of another rank's.
float ScaleExchange::told_scale(const CodedScales& scales, std::uint64_t message_bytes,
                                std::uint64_t at) const {
  const auto rank = static_cast<std::uint32_t>(at / scales.row_scales / scales.block_rows);
  const std::uint64_t from_begin = at - scales.begin_of(rank);
  const std::uint64_t to_end = scales.end_of(rank) - at;
  const std::uint64_t place = from_begin < scales.told ? from_begin : 2 * scales.told - to_end;
  const std::byte* const told = message().data() + sizes_.message_bytes + rank * message_bytes +
                                scales.message + sizeof(SumWords);
  float scale;
  std::memcpy(&scale, told + place * sizeof scale, sizeof scale);
  return scale;
}

}  // namespace initrt
