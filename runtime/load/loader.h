// The streaming pipeline: read plan -> staging ring -> conversion -> shard. Workers each own one
// block of the ring and the device's uploader for it; reading, copying and converting overlap
// because they are at different points.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "runtime/device/first_touch.h"
#include "runtime/device/timeline.h"
#include "runtime/device/uploader.h"
#include "runtime/load/arrivals.h"
#include "runtime/load/read_queue.h"
#include "runtime/load/scale_coder.h"
#include "runtime/storage/range_reader.h"
#include "sharding/layout.h"
#include "sharding/read_source.h"
#include "sharding/reads.h"

namespace initrt {

struct LoadStatistics {
  double seconds = 0;                 ///< from start() until the last unit arrived
  std::uint64_t requested_bytes = 0;  ///< tensor payload asked for
  std::uint64_t written_bytes = 0;    ///< put into the shard
  /// Of all threads together, in the first touch of the shard's memory, where that is the host's.
  double touch_seconds = 0;
};

class Loader {
 public:
  /// Called from a worker before each of a unit's reads (for progress: storage may be slow and a
  /// unit large; and for tests that hold a rank).
  using UnitHook = std::function<void(std::uint32_t unit)>;

  /// @param device whose memory the shard is; outlives the loader
  /// @param shard this rank's shard memory, zeroed; host memory is best not touched yet
  /// @param files one reader for each of catalog.files; null for files nothing is read from
  /// @param total_bytes what ReadCounter says of this rank, for total_bytes()
  /// @param scales what codes scales; outlives the loader, null where none are codes
  /// @param timeline told of every read and what follows it; outlives the loader, may be null
  Loader(const ReadSource& source, std::uint32_t rank, const StagingRing& ring,
         UploaderFactory& device, Ledger& ledger, std::span<std::byte> shard,
         std::vector<std::unique_ptr<RangeReader>> files, std::uint64_t total_bytes,
         Arrivals& arrivals, UnitHook on_unit, ScaleCoder* scales = nullptr,
         Timeline* timeline = nullptr);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  /// Stops early if loading is not done.
  ~Loader();

  void start();

  /// Waits for the workers. The staging ring goes back with the last of them, or here where giving
  /// it back may wait for all that the device does.
  /// @throws the first failure
  LoadStatistics finish();

  /// Payload bytes requested so far and in all, for a progress display.
  [[nodiscard]] std::uint64_t done_bytes() const { return done_bytes_.load(); }
  [[nodiscard]] std::uint64_t total_bytes() const { return total_bytes_; }

  [[nodiscard]] const std::vector<std::unique_ptr<RangeReader>>& files() const { return files_; }

 private:
  void work(Uploader& uploader, std::uint16_t worker);
  /// @returns whether it was done to its end: loading may have been stopped
  bool execute(const ReadQueue::Task& task, Uploader& uploader, std::uint16_t worker);
  void execute(std::uint32_t unit, const UnitReads& plan, const ReadTask& task, const Read& read,
               Uploader& uploader, std::uint16_t worker);
  StoredRead store(const UnitReads& plan, const ReadTask& task, const Read& read,
                   std::span<const std::byte> bytes, Uploader& uploader);
  StoredRead read_in_place(RangeReader& file, const UnitReads& plan, const Read& read);
  void touch(const UnitReads& plan, const ReadTask& task, const Read& read);
  static std::span<const std::byte> bring(RangeReader& file, const ReadTask& task, const Read& read,
                                          Uploader& uploader);
  [[nodiscard]] UnitReads plan(std::uint32_t unit);
  void stop();
  void note_arrival(std::uint32_t units);

  const ReadSource source_;
  const std::uint32_t rank_;
  const ReadLimits limits_;
  const std::vector<std::unique_ptr<RangeReader>> files_;  // before uploaders_, which may know them
  std::vector<std::unique_ptr<Uploader>> uploaders_;       // one for each worker
  const std::span<std::byte> shard_;
  std::optional<FirstTouch> touch_;  // where the shard is host memory
  Arrivals& arrivals_;
  const UnitHook on_unit_;
  ScaleCoder* const scales_;
  Timeline* const timeline_;

  ReadQueue queue_;
  std::atomic<bool> stop_{false}, all_arrived_{false};
  std::atomic<std::uint64_t> done_bytes_{0};
  std::atomic<std::uint64_t> written_bytes_{0};
  const std::uint64_t total_bytes_;
  std::chrono::steady_clock::time_point started_;
  bool is_started_ = false;
  std::atomic<std::int64_t> finished_ns_{0};
  std::vector<std::thread> workers_;
};

/// What reads of a ring's blocks may be, with room for a reader's alignment.
[[nodiscard]] ReadLimits read_limits(const StagingRing& ring);

}  // namespace initrt
