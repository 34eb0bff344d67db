#include "launch/output/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sharding/error.h"
#include "sharding/human_bytes.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json min_max(const std::vector<RankReport>& ranks, T RankReport::*field) {
  T least = ranks.front().*field, most = least;
  for (const RankReport& rank : ranks) {
    least = std::min(least, rank.*field);
    most = std::max(most, rank.*field);
  }
  return {{"min", least}, {"max", most}};
}

template <class T>
T sum(const std::vector<RankReport>& ranks, T RankReport::*field) {
  T total{};
  for (const RankReport& rank : ranks) total += rank.*field;
  return total;
}

double ratio(double a, double b) { return b > 0 ? a / b : 0.0; }

// First tokens are of the ranks that had a prompt.
double earliest_first_token(const std::vector<RankReport>& ranks) {
  double first = 0;
  for (const RankReport& rank : ranks) {
    if (rank.tokens > 0 && (first == 0 || rank.first_token_seconds < first)) {
      first = rank.first_token_seconds;
    }
  }
  return first;
}

std::string span_of_bytes(const Json& min_max_bytes) {
  const auto least = min_max_bytes["min"].get<double>(), most = min_max_bytes["max"].get<double>();
  return least == most ? human_bytes(most)
                       : fmt::format("{} to {}", human_bytes(least), human_bytes(most));
}

}  // namespace

nlohmann::ordered_json report_json(const Job& job, const RunFacts& facts,
                                   const std::vector<RankReport>& ranks) {
  const double load_seconds =
      std::max_element(ranks.begin(), ranks.end(), [](const auto& a, const auto& b) {
        return a.load_seconds < b.load_seconds;
      })->load_seconds;
  const auto payload = static_cast<double>(sum(ranks, &RankReport::payload_bytes));
  const auto read = static_cast<double>(sum(ranks, &RankReport::read_bytes));
  const auto needed = static_cast<double>(facts.payload_needed);
  // Each rank decodes at its own rate, at the same time as the others.
  double rate = 0;
  for (const RankReport& rank : ranks) {
    rate += ratio(static_cast<double>(rank.decode_tokens), rank.decode_seconds);
  }
  Json memory_plan;
  for (std::size_t i = 0; i < kMemoryCategories; ++i) {
    memory_plan[std::string(name(static_cast<MemoryCategory>(i)))] = facts.memory.bytes[i];
  }
  const auto all_experts = static_cast<double>(sum(ranks, &RankReport::all_expert_bytes));
  Json report = {
      {"model", job.model.path},
      {"precision", job.model.precision},
      {"quantize", job.model.quantize.method},
      {"world", ranks.size()},
      {"communicator", facts.transport},
      {"device", facts.device},
      {"load",
       {{"seconds", load_seconds},
        {"rank_seconds", min_max(ranks, &RankReport::load_seconds)},
        {"bytes_needed", facts.payload_needed},
        {"bytes_requested", sum(ranks, &RankReport::payload_bytes)},
        {"bytes_read", sum(ranks, &RankReport::read_bytes)},
        {"bytes_read_direct", sum(ranks, &RankReport::direct_bytes)},
        {"bytes_read_into_gpus", sum(ranks, &RankReport::device_bytes)},
        {"requested_to_needed", ratio(payload, needed)},
        {"read_to_needed", ratio(read, needed)},
        {"bytes_per_second", ratio(read, load_seconds)}}},
      {"generate",
       {{"first_token_seconds", earliest_first_token(ranks)},
        {"seconds", min_max(ranks, &RankReport::seconds)["max"]},
        {"tokens", sum(ranks, &RankReport::tokens)},
        {"tokens_per_second", rate},
        {"sweeps", ranks.front().sweeps}}},
      {"memory",
       {{"planned", min_max(ranks, &RankReport::memory_planned)},
        {"peak", min_max(ranks, &RankReport::memory_peak)},
        {"process", min_max(ranks, &RankReport::process_bytes)},
        {"shard", min_max(ranks, &RankReport::shard_bytes)},
        {"shard_on_huge_pages", min_max(ranks, &RankReport::huge_page_bytes)},
        {"first_touch_seconds", min_max(ranks, &RankReport::touch_seconds)},
        {"plan", memory_plan}}},
  };
  if (all_experts > 0) {
    const std::uint64_t chosen = sum(ranks, &RankReport::expert_bytes);
    report["experts"] = {{"bytes_chosen", chosen},
                         {"bytes_of_all", sum(ranks, &RankReport::all_expert_bytes)},
                         {"chosen_to_all", ratio(static_cast<double>(chosen), all_experts)}};
  }
  if (sum(ranks, &RankReport::gpu_bytes) > 0) {
    std::vector<RankReport> others = ranks;  // what is neither ours nor was there before
    for (RankReport& rank : others) {
      const std::uint64_t known = rank.gpu_bytes + rank.gpu_bytes_at_start;
      rank.gpu_bytes = rank.gpu_bytes_in_use > known ? rank.gpu_bytes_in_use - known : 0;
    }
    report["memory"]["gpu"] = {
        {"ledger", min_max(ranks, &RankReport::gpu_bytes)},
        {"context_and_others", min_max(ranks, &RankReport::gpu_bytes_at_start)},
        {"libraries", min_max(others, &RankReport::gpu_bytes)},
        {"in_use", min_max(ranks, &RankReport::gpu_bytes_in_use)}};
  }
  return report;
}

std::string report_text(const nlohmann::ordered_json& report) {
  const Json& load = report["load"];
  const Json& generate = report["generate"];
  const Json& memory = report["memory"];
  std::string text = fmt::format(
      "{} rank{}, {}, {}, {}\n", report["world"].get<std::uint64_t>(),
      report["world"] == 1 ? "" : "s", report["communicator"].get<std::string>(),
      holding_text(report["precision"].get<std::string>(), report["quantize"].get<std::string>()),
      report["device"].get<std::string>());
  const auto direct = load["bytes_read_into_gpus"].get<double>();
  text += fmt::format(
      "load      {:.3f} s (ranks {:.3f} to {:.3f}), {}/s; read {:.4f} of the payload, {:.4f} with "
      "alignment{}\n",
      load["seconds"].get<double>(), load["rank_seconds"]["min"].get<double>(),
      load["rank_seconds"]["max"].get<double>(),
      human_bytes(load["bytes_per_second"].get<double>()),
      load["requested_to_needed"].get<double>(), load["read_to_needed"].get<double>(),
      direct > 0 ? fmt::format("; {} straight into GPUs", human_bytes(direct)) : "");
  if (generate["tokens"].get<std::uint64_t>() > 0) {
    const auto rate = generate["tokens_per_second"].get<double>();
    text += fmt::format("generate  first token after {:.3f} s, {} tokens{}\n",
                        generate["first_token_seconds"].get<double>(),
                        generate["tokens"].get<std::uint64_t>(),
                        rate > 0 ? fmt::format(", {:.1f} tokens/s", rate) : "");
  }
  if (report.contains("experts")) {
    const Json& experts = report["experts"];
    text += fmt::format("experts   {} of {} in all sweeps, {:.4f}: only those that tokens chose\n",
                        human_bytes(experts["bytes_chosen"].get<double>()),
                        human_bytes(experts["bytes_of_all"].get<double>()),
                        experts["chosen_to_all"].get<double>());
  }
  text += fmt::format("memory    planned {} per rank, peak {}; process {}",
                      span_of_bytes(memory["planned"]), span_of_bytes(memory["peak"]),
                      span_of_bytes(memory["process"]));
  if (!memory.contains("gpu")) {
    text += fmt::format("; {} of {} shard on huge pages, first touch {:.3f} s\n",
                        human_bytes(memory["shard_on_huge_pages"]["min"].get<double>()),
                        human_bytes(memory["shard"]["min"].get<double>()),
                        memory["first_touch_seconds"]["max"].get<double>());
    return text;
  }
  const Json& gpu = memory["gpu"];
  text += fmt::format(
      "\nGPU       {} of the plan, {} of libraries, {} of the context and others; {} in use\n",
      span_of_bytes(gpu["ledger"]), span_of_bytes(gpu["libraries"]),
      span_of_bytes(gpu["context_and_others"]), span_of_bytes(gpu["in_use"]));
  return text;
}

}  // namespace initrt
