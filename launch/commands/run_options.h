// What the command line says beside the job.
#pragma once

#include <string>
#include <vector>

namespace initrt {

struct RunOptions {
  std::string config;                 ///< path of the job file, or ""
  std::vector<std::string> settings;  ///< --set
  std::string progress = "auto";
  std::string report;    ///< where to write the report as JSON, or ""
  std::string timeline;  ///< where to write the timeline, or ""
  std::string metrics;   ///< where to write metrics for Prometheus, or ""
  bool verbose = false;
};

}  // namespace initrt
