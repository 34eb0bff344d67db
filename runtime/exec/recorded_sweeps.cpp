#include "runtime/exec/recorded_sweeps.h"

#include <algorithm>

namespace initrt {
namespace {

// The driver keeps some hundred bytes for each op of a graph, and numbers of rows seldom vary more.
constexpr std::size_t kMaxSweeps = 128;

// Keys of one rank's rows, as the engine's other recordings have, are below or have the highest
// bit.
constexpr std::uint64_t kFirstKey = std::uint64_t{1} << 62;

}  // namespace

void RecordedSweeps::run(std::span<const std::uint32_t> sizes, const std::function<void()>& ops) {
  sizes_.assign(sizes.begin(), sizes.end());
  const auto found = sweeps_.find(sizes_);
  if (found == sweeps_.end()) {
    if (sweeps_.size() < kMaxSweeps) sweeps_[sizes_].key = kFirstKey + sweeps_.size();
    ops();
    return;
  }
  Sweep& sweep = found->second;
  if (!sweep.tried) sweep = {sweep.key, true, record(sweep.key, ops)};
  if (sweep.recorded) {
    device_.replay(sweep.key);
  } else {
    ops();
  }
}

bool RecordedSweeps::record(std::uint64_t key, const std::function<void()>& ops) {
  const auto mine = static_cast<std::uint8_t>(device_.record(key, ops));
  flags_.resize(comm_.size());
  comm_.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(flags_)));
  return std::ranges::find(flags_, 0) == flags_.end();
}

}  // namespace initrt
