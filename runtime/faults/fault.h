// A fault that a test asks for, and the one place that makes it happen:
//
//   INITRT_TEST_FAULT=WHAT@RANK:STAGE:UNIT      or ...:UNIT:TIME, the time the rank comes there
//
// names what happens, to which rank, and where. Wrappers over the seams (faulty_communicator.h,
// faulty_files.h, faulty_output.h) tell where the rank is; without the variable there are none.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace initrt {

enum class FaultKind : std::uint8_t {
  // To the process.
  Killed,  ///< SIGKILL
  Stall,   ///< it goes no further, whatever it is told
  Hold,    ///< it goes no further until it is asked to stop
  Memory,  ///< it can have no more address space than it has (RLIMIT_AS)
  // To a file that is read there; at Plan to one of the checkpoint's.
  Eio,        ///< the read fails
  Short,      ///< the read gives one byte
  Truncated,  ///< the file ends where the read begins; at Plan a byte too soon
  Replaced,   ///< another file with the same bytes takes its name
  Rewritten,  ///< its first byte is written again, the same
  // To a file that is written there.
  Full,  ///< it can grow by no more than half a line (RLIMIT_FSIZE)
};

/// Where, and what UNIT counts there, from 0.
enum class FaultStage : std::uint8_t {
  Start,     ///< before anything is read; 0
  Headers,   ///< reads of headers, on the rank that reads; broadcasts, on the others
  Plan,      ///< all is known, nothing is allocated; 0
  Load,      ///< the unit, at each of its reads
  Gather,    ///< all-gathers in the background, as they begin; none where ranks map shards
  Exchange,  ///< exchanges of rows, as they begin; the same
  Decode,    ///< the unit, before it runs
  Writing,   ///< lines of results, before each is written
};

struct Fault {
  FaultKind kind = FaultKind::Killed;
  std::uint32_t rank = 0;
  FaultStage stage = FaultStage::Start;
  std::uint32_t unit = 0;
  std::uint32_t time = 1;  ///< 1: the first time the rank comes there
};

/// @throws Error where `text` is no fault as above, or one that its stage cannot have
[[nodiscard]] Fault parse_fault(std::string_view text);

/// What a read is to come to.
enum class ReadFault : std::uint8_t { None, Eio, Short };

/// Makes one fault happen, once, on the rank it names. Thread-safe.
class FaultInjector {
 public:
  /// @param asked_to_stop ends FaultKind::Hold
  FaultInjector(const Fault& fault, std::function<bool()> asked_to_stop);

  /// This thread has come there. What happens to the process happens now, after a line on standard
  /// error; what happens to a file waits for this thread's next on_file().
  void arrive(FaultStage stage, std::uint32_t unit);
  /// The same where UNIT is the number of arrivals before.
  void arrive_next(FaultStage stage);

  /// This thread is about to read or write `path`, from `offset` on.
  ReadFault on_file(const std::string& path, std::uint64_t offset);

  /// The same of every read of headers, each of which is an arrival.
  ReadFault on_header_read(const std::string& path, std::uint64_t offset) {
    arrive_next(FaultStage::Headers);
    return on_file(path, offset);
  }

  [[nodiscard]] const Fault& fault() const { return fault_; }

 private:
  void strike_process() const;

  const Fault fault_;
  const std::function<bool()> asked_to_stop_;
  std::atomic<std::uint32_t> left_;       // arrivals until it happens
  std::atomic<std::uint32_t> passed_{0};  // of arrive_next()
};

/// Reads INITRT_TEST_FAULT. Where it names this rank of a world of `ranks`, armed_fault() is its
/// injector from here on. Before other threads are started.
/// @throws Error where the variable is malformed, or names no rank of the world
void arm_fault(std::uint32_t rank, std::uint32_t ranks, std::function<bool()> asked_to_stop);

/// Null where nothing is to happen on this rank.
[[nodiscard]] FaultInjector* armed_fault();

}  // namespace initrt
