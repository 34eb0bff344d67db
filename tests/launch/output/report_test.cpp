#include "launch/output/report.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace initrt {
namespace {

std::vector<RankReport> two_ranks() {
  RankReport a, b;
  a.load_seconds = 2;
  b.load_seconds = 4;
  a.payload_bytes = 600;
  b.payload_bytes = 402;
  a.read_bytes = 610;
  b.read_bytes = 410;
  a.tokens = 11;
  a.decode_tokens = 10;
  a.decode_seconds = 2;
  a.first_token_seconds = 3;
  a.sweeps = b.sweeps = 17;
  a.memory_planned = a.memory_peak = 5000;
  b.memory_planned = b.memory_peak = 7000;
  return {a, b};
}

TEST(Report, SumsWhatWasReadAndTakesTheSlowestRank) {
  const auto report = report_json(Job{}, {"mapped", "cpu", 1000, {}}, two_ranks());
  EXPECT_EQ(report["load"]["seconds"], 4.0);
  EXPECT_EQ(report["load"]["bytes_requested"], 1002);
  EXPECT_DOUBLE_EQ(report["load"]["requested_to_needed"].get<double>(), 1.002);
  EXPECT_DOUBLE_EQ(report["load"]["read_to_needed"].get<double>(), 1.02);
  EXPECT_DOUBLE_EQ(report["load"]["bytes_per_second"].get<double>(), 255.0);
  EXPECT_EQ(report["generate"]["tokens_per_second"], 5.0);
  EXPECT_EQ(report["generate"]["first_token_seconds"], 3.0);
  EXPECT_EQ(report["generate"]["sweeps"], 17);
  EXPECT_EQ(report["memory"]["planned"]["min"], 5000);
  EXPECT_EQ(report["memory"]["planned"]["max"], 7000);
}

TEST(Report, SaysItInAFewLines) {
  const std::string text =
      report_text(report_json(Job{}, {"mapped", "cpu", 1000, {}}, two_ranks()));
  EXPECT_NE(text.find("2 ranks, mapped"), std::string::npos) << text;
  EXPECT_NE(text.find("5.0 tokens/s"), std::string::npos) << text;
  EXPECT_NE(text.find("planned 5 kB to 7 kB per rank"), std::string::npos) << text;
}

TEST(Report, SaysWhatWentStraightIntoGpus) {
  std::vector<RankReport> ranks = two_ranks();
  const RunFacts facts{"nccl", "cuda", 1000, {}};
  EXPECT_EQ(report_text(report_json(Job{}, facts, ranks)).find("GPUs"), std::string::npos);
  ranks[0].device_bytes = 600;
  ranks[1].device_bytes = 400;
  const auto report = report_json(Job{}, facts, ranks);
  EXPECT_EQ(report["load"]["bytes_read_into_gpus"], 1000);
  EXPECT_NE(report_text(report).find("1 kB straight into GPUs"), std::string::npos)
      << report_text(report);
}

TEST(Report, SaysWhatChoosingExpertsSaved) {
  std::vector<RankReport> ranks = two_ranks();
  const RunFacts facts{"mpi", "cpu", 1000, {}};
  EXPECT_FALSE(report_json(Job{}, facts, ranks).contains("experts"));
  for (RankReport& rank : ranks) {
    rank.expert_bytes = 250'000;
    rank.all_expert_bytes = 1'000'000;
  }
  const auto report = report_json(Job{}, facts, ranks);
  EXPECT_EQ(report["experts"]["bytes_chosen"], 500'000);
  EXPECT_DOUBLE_EQ(report["experts"]["chosen_to_all"].get<double>(), 0.25);
  EXPECT_NE(report_text(report).find("500 kB of 2 MB"), std::string::npos) << report_text(report);
}

}  // namespace
}  // namespace initrt
