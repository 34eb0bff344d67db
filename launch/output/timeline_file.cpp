#include "launch/output/timeline_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace initrt {
namespace {

constexpr std::size_t kPiece = 4096;  // spans that go between ranks at once: 128 KiB

/// The trace's events of one rank as text. Lanes are named where they first appear.
class RankEvents {
 public:
  RankEvents(std::uint32_t rank, HostTime zero, const std::vector<std::string>& units)
      : rank_(rank), zero_(zero), units_(units) {}

  [[nodiscard]] std::string title() const {
    return metadata("process_name", 0, fmt::format("rank {}", rank_));
  }

  /// Each after a comma: the title, or other events, come before.
  [[nodiscard]] std::string of(std::span<const Span> spans) {
    std::string text;
    for (const Span& span : spans) {
      const std::uint32_t thread = thread_of(span);
      if (named_.insert(thread).second) text += name_lane(span, thread);
      text += fmt::format(
          ",\n{{\"name\":{0},\"cat\":\"{1}\",\"ph\":\"X\",\"ts\":{2:.3f},\"dur\":{3:.3f},"
          "\"pid\":{4},\"tid\":{5},\"args\":{{\"unit\":{0},\"bytes\":{6}}}}}",
          units_[span.unit], name(span.lane), microseconds(span.when.begin - zero_),
          microseconds(span.when.end - span.when.begin), rank_, thread, span.bytes);
    }
    return text;
  }

 private:
  static double microseconds(HostTime nanoseconds) {
    return static_cast<double>(nanoseconds) * 1e-3;
  }

  // Also the order in which lanes are shown: of one kind beside each other.
  static std::uint32_t thread_of(const Span& span) {
    return (static_cast<std::uint32_t>(span.lane) << 16) + span.worker + 1;
  }

  [[nodiscard]] std::string name_lane(const Span& span, std::uint32_t thread) const {
    std::string title(name(span.lane));
    if (span.lane != Lane::Execute) title += fmt::format(" {}", span.worker);
    return ",\n" + metadata("thread_name", thread, title) +
           fmt::format(
               ",\n{{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":{},\"tid\":{},"
               "\"args\":{{\"sort_index\":{}}}}}",
               rank_, thread, thread);
  }

  [[nodiscard]] std::string metadata(const char* what, std::uint32_t thread,
                                     const std::string& title) const {
    return fmt::format(
        "{{\"name\":\"{}\",\"ph\":\"M\",\"pid\":{},\"tid\":{},\"args\":{{\"name\":\"{}\"}}}}", what,
        rank_, thread, title);
  }

  const std::uint32_t rank_;
  const HostTime zero_;
  const std::vector<std::string>& units_;  // their names, quoted
  std::set<std::uint32_t> named_;
};

std::vector<std::string> quoted_names(const Graph& graph) {
  std::vector<std::string> names;
  names.reserve(graph.units.size());
  for (const Unit& unit : graph.units) names.push_back(nlohmann::json(unit.name).dump());
  return names;
}

std::string head(const std::vector<std::uint64_t>& left_out) {
  return fmt::format(
      "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"spans_left_out\":[{}]}},\"traceEvents\":[\n",
      fmt::join(left_out, ","));
}

}  // namespace

TimelineFile::TimelineFile(Communicator& comm, const std::string& path, std::size_t most)
    : comm_(comm), timeline_(most) {
  if (comm.rank() == 0) file_.emplace(path);
}

void TimelineFile::start(bool one_clock) {
  const HostTime now = host_time();
  std::vector<HostTime> all(comm_.size());
  comm_.all_gather(std::as_bytes(std::span(&now, 1)), std::as_writable_bytes(std::span(all)));
  zero_ = one_clock ? *std::ranges::max_element(all) : host_time();
}

std::vector<TimelineFile::Header> TimelineFile::exchange_headers() const {
  const Header mine{zero_, timeline_.spans().size(), timeline_.left_out()};
  std::vector<Header> all(comm_.size());
  comm_.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

std::span<const Span> TimelineFile::bring(std::uint32_t from, std::uint64_t begin,
                                          std::uint64_t end) {
  const bool mine = comm_.rank() == from;
  const std::span<const Span> out =
      mine ? std::span(timeline_.spans()).subspan(begin, end - begin) : std::span<const Span>();
  if (from == 0) return out;
  received_.resize(comm_.rank() == 0 ? end - begin : 0);
  std::vector<std::uint64_t> out_bytes(comm_.size()), in_bytes(comm_.size());
  out_bytes[0] = out.size_bytes();
  in_bytes[from] = std::span(received_).size_bytes();
  comm_.all_to_all(std::as_bytes(out), out_bytes, std::as_writable_bytes(std::span(received_)),
                   in_bytes);
  return received_;
}

void TimelineFile::write(const Graph& graph) {
  const std::vector<Header> headers = exchange_headers();
  const std::vector<std::string> units = quoted_names(graph);
  std::vector<std::uint64_t> left_out;
  left_out.reserve(headers.size());
  for (const Header& header : headers) left_out.push_back(header.left_out);
  if (file_) file_->write(head(left_out));
  for (std::uint32_t rank = 0; rank < headers.size(); ++rank) {
    RankEvents events(rank, headers[rank].zero, units);
    if (file_) file_->write((rank == 0 ? "" : ",\n") + events.title());
    for (std::uint64_t begin = 0; begin < headers[rank].spans; begin += kPiece) {
      const std::uint64_t end = std::min(begin + kPiece, headers[rank].spans);
      const std::span<const Span> spans = bring(rank, begin, end);
      if (file_) file_->write(events.of(spans));
      comm_.note_progress(Stage::Finish, 0);
    }
  }
  if (!file_) return;
  file_->write("\n]}\n");
  file_->commit();
}

}  // namespace initrt
