// report: what was predicted and what was measured, for a person and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/job/job.h"
#include "runtime/start/rank_report.h"
#include "sharding/memory_plan.h"

namespace initrt {

/// What is the same on every rank.
struct RunFacts {
  std::string transport;
  std::string device;
  std::uint64_t payload_needed = 0;  ///< bytes of all tensors the model uses, each once
  MemoryPlan memory;
};

[[nodiscard]] nlohmann::ordered_json report_json(const Job& job, const RunFacts& facts,
                                                 const std::vector<RankReport>& ranks);

/// A few lines.
[[nodiscard]] std::string report_text(const nlohmann::ordered_json& report);

}  // namespace initrt
