// Reading what --timeline wrote.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/support/process.h"

namespace initrt::testing {

/// The lanes in which a rank has spans. Checks that the file is a trace whose spans are at times
/// that can be, and are of units.
inline std::set<std::string> lanes_of(const std::string& path, int rank) {
  std::set<std::string> lanes;
  const auto trace = nlohmann::json::parse(contents(path));
  for (const auto& span : trace.at("traceEvents")) {
    if (span.at("ph") != "X" || span.at("pid") != rank) continue;
    lanes.insert(span.at("cat"));
    EXPECT_GE(span.at("ts").get<double>(), 0.0);
    EXPECT_GE(span.at("dur").get<double>(), 0.0);
    EXPECT_EQ(span.at("args").at("unit"), span.at("name"));
    EXPECT_GT(span.at("args").at("bytes").get<std::uint64_t>(), 0u);
  }
  return lanes;
}

}  // namespace initrt::testing
