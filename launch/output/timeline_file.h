// The file of --timeline: what every rank did when, as a Chrome trace, which chrome://tracing and
// https://ui.perfetto.dev open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/device/timeline.h"
#include "runtime/storage/output_file.h"
#include "sharding/graph.h"

namespace initrt {

/// In the trace a process is a rank, a thread a lane and its worker, an event a unit.
class TimelineFile {
 public:
  /// On rank 0 it is opened now: before hours of work, not after. @throws Error where it cannot be
  /// @param most spans of each rank
  TimelineFile(Communicator& comm, const std::string& path, std::size_t most = Timeline::kMaxSpans);

  /// Where this rank's spans go.
  [[nodiscard]] Timeline& timeline() { return timeline_; }

  /// From here on time counts. Collective.
  /// @param one_clock all ranks are on one machine, whose clock they share. If not, each rank's
  ///        zero is when it leaves a small all-gather, which it does some microseconds after the
  ///        last rank has entered it, or up to a millisecond where cores are fewer than threads.
  void start(bool one_clock);

  /// Collects all ranks' spans, a piece at a time, and writes the file. Collective.
  /// @param graph whose units the spans are of
  void write(const Graph& graph);

 private:
  /// What one rank tells the others before its spans.
  struct Header {
    HostTime zero = 0;
    std::uint64_t spans = 0, left_out = 0;
  };

  [[nodiscard]] std::vector<Header> exchange_headers() const;
  /// Some of rank `from`'s spans, on rank 0; empty elsewhere. Collective.
  [[nodiscard]] std::span<const Span> bring(std::uint32_t from, std::uint64_t begin,
                                            std::uint64_t end);

  Communicator& comm_;
  std::optional<OutputFile> file_;  // on rank 0
  Timeline timeline_;
  HostTime zero_ = 0;
  std::vector<Span> received_;  // on rank 0, a piece
};

}  // namespace initrt
