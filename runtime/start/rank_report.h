// What one rank has measured of loading and generating.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/exec/generate.h"

namespace initrt {

/// One rank's numbers; goes between ranks as it is.
struct RankReport {
  double load_seconds = 0;           ///< from the first read until the last unit arrived
  std::uint64_t payload_bytes = 0;   ///< tensor payload asked for
  std::uint64_t read_bytes = 0;      ///< read, with what block alignment adds
  std::uint64_t direct_bytes = 0;    ///< of which past the page cache
  std::uint64_t device_bytes = 0;    ///< of which straight into a GPU's memory
  std::uint64_t memory_planned = 0;  ///< the MemoryPlan's total
  std::uint64_t memory_peak = 0;     ///< the most that the ledger held at once
  std::uint64_t process_bytes = 0;   ///< PSS of the process after loading or generating
  std::uint64_t shard_bytes = 0;
  std::uint64_t huge_page_bytes = 0;  ///< of the shard
  double touch_seconds = 0;           ///< of all loading threads, in the first touch of the shard
  std::uint64_t gpu_bytes = 0;        ///< what the ledger holds of the GPU's memory; 0 without one
  std::uint64_t gpu_bytes_at_start = 0;  ///< in use before: by the context, and by others
  std::uint64_t gpu_bytes_in_use = 0;    ///< in use in the end, as the driver counts
  double first_token_seconds = 0;        ///< from the start of loading
  double seconds = 0;                    ///< from the start of loading until all is generated
  std::uint64_t tokens = 0;              ///< generated
  double decode_seconds = 0;             ///< after the first token
  std::uint64_t decode_tokens = 0;       ///< in that time
  std::uint64_t expert_bytes = 0;      ///< of experts that tokens chose, each counted once a sweep
  std::uint64_t all_expert_bytes = 0;  ///< of all that they could have chosen
  std::uint64_t sweeps = 0;            ///< of generating, the same on every rank

  void add(const GenerateStatistics& statistics);
};

/// All ranks' reports, in rank order. Collective.
[[nodiscard]] std::vector<RankReport> gather_reports(Communicator& comm, const RankReport& mine);

}  // namespace initrt
