// What a rank did when: spans of reading, copying, converting, gathering and executing units, as
// the parts of a run measure them. What becomes of them is the launcher's to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <vector>

#include "runtime/device/host_clock.h"

namespace initrt {

/// What happens beside what. Spans of one lane and one worker do not overlap.
enum class Lane : std::uint16_t {
  Read,      ///< from a file to the host, or to the device where it reads by itself
  Copy,      ///< from the host to the device
  Convert,   ///< to the shard's dtype and order
  Gather,    ///< from all ranks
  Execute,   ///< a unit's ops
  Exchange,  ///< of rows between ranks, within a unit's ops
};

[[nodiscard]] std::string_view name(Lane lane);

/// A unit in a lane; goes between ranks as it is.
struct Span {
  Interval when;
  std::uint64_t bytes = 0;   ///< read, copied, written, gathered, or of the unit that ran
  std::uint32_t unit = 0;    ///< index in the graph
  std::uint16_t worker = 0;  ///< of the lane: the loader's thread, or the gather's slot
  Lane lane = Lane::Read;
};
static_assert(std::is_trivially_copyable_v<Span> && std::has_unique_object_representations_v<Span>,
              "no byte of it is left to chance");

/// Takes spans from any thread, up to a fixed number: a run may go on for days.
class Timeline {
 public:
  /// 8 MiB of them: some five hundred sweeps of a model of 256 units.
  static constexpr std::size_t kMaxSpans = std::size_t{1} << 18;

  /// @param most spans that are kept
  explicit Timeline(std::size_t most = kMaxSpans);
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  /// Keeps the span, or counts it where there is no room.
  void add(const Span& span);

  /// As they were added. For when nothing is added any more.
  [[nodiscard]] const std::vector<Span>& spans() const { return spans_; }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

 private:
  const std::size_t most_;
  std::mutex mutex_;
  std::vector<Span> spans_;  // guarded by mutex_, as is the next
  std::uint64_t left_out_ = 0;
};

}  // namespace initrt
