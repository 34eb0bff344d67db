// initrt plan: what a run would allocate and read, from headers alone.
#include <algorithm>

#include "launch/commands/commands.h"
#include "launch/job/prompts.h"
#include "launch/output/log.h"
#include "launch/output/standard_output.h"
#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cuda/needs.h"
#include "runtime/load/loader.h"
#include "runtime/machine/fit.h"
#include "runtime/machine/transport.h"
#include "runtime/start/run_shape.h"
#include "runtime/start/tokenizer_files.h"
#include "runtime/start/without_weights.h"
#include "runtime/storage/local_files.h"
#include "sharding/budget.h"
#include "sharding/checkpoint/names/quantized.h"
#include "sharding/checkpoint/note_choice.h"
#include "sharding/checkpoint/quantized/stored_form.h"
#include "sharding/error.h"
#include "sharding/human_bytes.h"
#include "sharding/precision.h"
#include "sharding/read_totals.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kMaxRows = 32;  // ranks listed one by one

// What a run on the best of this machine's instruction sets would need, or on any GPU.
NeedsOfDevice needs_of(DeviceKind kind) {
  if (kind == DeviceKind::Cuda) return cuda::needs;
  return [](const ProductSizes& products) {
    return make_cpu_device(best_instruction_set(), 1, false)->needs(products);
  };
}

struct RankReads {
  std::uint64_t bytes = 0, reads = 0, files = 0;
};

std::vector<RankReads> reads_of_ranks(const OpenModel& model, const Cut& cut,
                                      const StagingRing& staging) {
  const ReadCounter reads({model.graph, model.layout, cut, model.bindings, model.catalog},
                          read_limits(staging));
  std::vector<RankReads> ranks;
  for (std::uint32_t rank = 0; rank < cut.world; ++rank) {
    const ReadTotals totals = reads.of_rank(rank);
    ranks.push_back(
        {totals.bytes, totals.reads,
         static_cast<std::uint64_t>(std::count(totals.files.begin(), totals.files.end(), true))});
  }
  return ranks;
}

// What a sweep costs either way, and what the job does about it.
Json moves_json(const Placement& placement, const RunShape& shape) {
  const MoveCosts& costs = placement.costs;
  return {{"mode", name(shape.move)},
          {"weights_bytes", static_cast<std::uint64_t>(costs.of_weights(0))},
          {"experts_bytes", costs.expert_bytes},
          {"bytes_per_row", costs.bytes_per_row},
          {"bytes_per_own_row", costs.bytes_per_own_row},
          {"rows_at_crossing", costs.rows_at_crossing()},
          {"product_bytes", costs.product_bytes + costs.expert_product_bytes},
          {"operations_per_row", costs.operations_per_row},
          {"gathers", costs.gathers},
          {"exchanges", costs.exchanges},
          {"gathers_units", placement.moves_weights},
          {"moves_rows", shape.moved_rows > 0}};
}

Json time_json(const SweepTime& time) {
  return {{"products_seconds", time.products},
          {"moving_seconds", time.moving},
          {"seconds", time.seconds()}};
}

// What a decode step of as many sequences as the job runs at once is predicted to take.
Json times_json(const Placement& placement, const RunShape& shape) {
  const std::uint64_t rows = shape.active_ranks * shape.sequences, own_rows = shape.sequences;
  const WeightPath path = weight_path(shape);
  const SweepTime weights = time_of_weights(placement.costs, shape.speeds, path, rows, own_rows);
  const SweepTime moving =
      time_of_rows(placement.costs, shape.speeds, shape.moved_rows, rows, own_rows);
  const bool move = moves_rows(shape, placement, rows, own_rows);
  return {{"rows", rows},
          {"weights", time_json(weights)},
          {"activations", time_json(moving)},
          {"tokens_per_second", static_cast<double>(rows) / (move ? moving : weights).seconds()},
          {"rows_at_crossing",
           rows_at_crossing(placement.costs, shape.speeds, path, shape.moved_rows)}};
}

std::string times_text(const Json& times) {
  const auto milliseconds = [&](const char* way) {
    return 1e3 * times[way]["seconds"].get<double>();
  };
  return fmt::format(
      "at these speeds a step of {} sequence{} takes {:.3g} ms if weights move, {:.3g} ms if rows "
      "do: {:.3g} tokens/s; as long at {} rows\n",
      times["rows"].get<std::uint64_t>(), times["rows"] == 1 ? "" : "s", milliseconds("weights"),
      milliseconds("activations"), times["tokens_per_second"].get<double>(),
      times["rows_at_crossing"].get<std::uint64_t>());
}

std::string moves_text(const Json& moves) {
  const auto bytes = [&](const char* key) { return human_bytes(moves[key].get<double>()); };
  std::string experts;
  if (moves["experts_bytes"] != 0) {
    experts = fmt::format(" and of {} of experts those that are chosen", bytes("experts_bytes"));
  }
  std::string text = fmt::format(
      "\na sweep moves {} of weights to each rank{}, or for each row {} to every rank and {} back: "
      "as much at {} rows\n",
      bytes("weights_bytes"), experts, bytes("bytes_per_row"), bytes("bytes_per_own_row"),
      moves["rows_at_crossing"].get<std::uint64_t>());
  const bool rows = moves["moves_rows"].get<bool>(), units = moves["gathers_units"].get<bool>();
  text += fmt::format("sharding.move={}: {}\n", moves["mode"].get<std::string>(),
                      !rows    ? "weights move"
                      : !units ? "rows move in every sweep of this job"
                               : "rows move in sweeps of few, weights in those of many");
  if (moves.contains("times")) text += times_text(moves["times"]);
  return text;
}

// The ranks that are listed: all in JSON, a screenful and the last one in a table.
std::vector<std::uint32_t> shown_ranks(std::uint32_t world, bool json) {
  std::vector<std::uint32_t> shown;
  const bool all = json || world <= kMaxRows;
  for (std::uint32_t rank = 0; rank < (all ? world : kMaxRows - 1); ++rank) shown.push_back(rank);
  if (!all) shown.push_back(world - 1);
  return shown;
}

Json plan_json(const Job& job, const OpenModel& model, Transport transport,
               const Placement& placement, const RunShape& shape,
               const std::vector<RankReads>& ranks, const std::vector<std::uint32_t>& shown,
               bool one_node) {
  Json memory;
  for (std::size_t i = 0; i < kMemoryCategories; ++i) {
    memory[std::string(name(static_cast<MemoryCategory>(i)))] = placement.memory.bytes[i];
  }
  memory["total"] = placement.memory.total();
  std::uint64_t requested = 0;
  for (const RankReads& rank : ranks) requested += rank.bytes;
  Json rows = Json::array();
  for (const std::uint32_t rank : shown) {
    rows.push_back({{"rank", rank},
                    {"memory", memory},
                    {"bytes_to_read", ranks[rank].bytes},
                    {"reads", ranks[rank].reads},
                    {"files", ranks[rank].files}});
  }
  std::uint64_t resident = 0;
  for (const UnitCut& unit : placement.cut.units) resident += unit.resident ? 1 : 0;
  return {{"model", job.model.path},
          {"format", model.catalog.format},
          {"family", model.graph.family},
          {"precision", job.model.precision},
          {"quantize", job.model.quantize.method},
          {"world", ranks.size()},
          {"one_node", one_node},
          {"device", shape.device.discrete_memory ? "cuda" : "cpu"},
          {"communicator", name(transport)},
          {"units", model.graph.units.size()},
          {"units_resident", resident},
          {"unit_bytes", model.layout.bytes()},
          {"context", shape.context},
          {"sequences", shape.sequences},
          {"payload_bytes", model.bindings.payload_bytes},
          {"bytes_to_read", requested},
          {"requested_to_needed",
           static_cast<double>(requested) / static_cast<double>(model.bindings.payload_bytes)},
          {"moves", moves_json(placement, shape)},
          {"ranks", rows}};
}

// Without a tokenizer: a token for each byte, which is the most that one makes of a text, and one
// before them.
std::vector<Prompt> prompts_by_bytes(const std::vector<PromptText>& texts) {
  std::vector<Prompt> prompts;
  for (const PromptText& text : texts) {
    if (!is_open(text)) continue;
    std::size_t bytes = text.text.size();
    if (!text.conversation.empty()) bytes += text.conversation.messages.dump().size();
    if (!text.conversation.tools.is_null()) bytes += text.conversation.tools.dump().size();
    prompts.push_back({static_cast<std::uint32_t>(prompts.size()), std::vector<TokenId>(bytes + 1),
                       static_cast<std::uint32_t>(text.max_new_tokens)});
  }
  return prompts;
}

bool has_prompts(const Job& job) {
  return job.generate.prompt || !job.generate.prompts.empty() || !job.generate.messages.empty();
}

std::vector<Prompt> planned_prompts(Files& files, const Job& job, const OpenModel& model) {
  const bool weights = model.catalog.format != kNoWeights;
  // How much a model needs can be asked before there is anything to run.
  if (!weights && !has_prompts(job)) return prompts_by_bytes({prompt_of_job(job, "")});
  std::vector<PromptText> texts = read_prompts(files, job);
  if (!weights && find_tokenizer(files, job.model).empty()) return prompts_by_bytes(texts);
  OpenText text = open_text(files, job.model, model);
  apply_chat_template(files, model, job, text, texts);
  std::vector<Prompt> prompts = tokenize(*text.tokenizer, texts, model.graph.vocabulary);
  refuse_beyond_context(job, model.graph, texts, prompts);
  if (!prompts.empty()) return prompts;
  for (const PromptText& one : texts) {
    if (!one.error.empty()) throw Error(one.error);
  }
  fail("generate.part is {}, a part without a prompt", job.generate.part);
}

std::string table_row(const Json& rank, const std::string& label) {
  const Json& memory = rank["memory"];
  const auto bytes = [](const Json& value) { return human_bytes(value.get<double>()); };
  const double shard = memory["shard"].get<double>() + memory["resident"].get<double>();
  const double other = memory["logits"].get<double>() + memory["scratch"].get<double>() +
                       memory["conversion"].get<double>() + memory["pinned"].get<double>() +
                       memory["exchange"].get<double>();
  return fmt::format("{:>5} {:>10} {:>10} {:>10} {:>12} {:>10} {:>10} {:>10} {:>12} {:>6}\n", label,
                     human_bytes(shard), bytes(memory["slots"]), bytes(memory["kv_cache"]),
                     bytes(memory["activations"]), bytes(memory["staging"]), human_bytes(other),
                     bytes(memory["total"]), bytes(rank["bytes_to_read"]),
                     rank["files"].get<std::uint64_t>());
}

std::string assumed_quantization_text(const Json& plan) {
  if (!plan.contains("assumed_quantization")) return "";
  const std::string method = one_line(plan["assumed_quantization"].get<std::string>());
  return plan["quantization_counted"].get<bool>()
             ? fmt::format(", or in {} where the config says so", method)
             : fmt::format("; that weights are quantized ({}) is not counted", method);
}

std::string plan_text(const Json& plan) {
  const std::string held =
      holding_text(plan["precision"].get<std::string>(), plan["quantize"].get<std::string>());
  std::string text = fmt::format(
      "{} ({}, {}), {}, {} rank{} on {}, communicator {}\n"
      "{} units, {} whole in {}; {} sequence{} of {} positions per rank\n\n",
      one_line(plan["model"].get<std::string>()), plan["format"].get<std::string>(),
      plan["family"].get<std::string>(), held, plan["world"].get<std::uint64_t>(),
      plan["world"] == 1 ? "" : "s", plan["one_node"].get<bool>() ? "one node" : "several nodes",
      plan["communicator"].get<std::string>(), plan["units"].get<std::uint64_t>(),
      human_bytes(plan["unit_bytes"].get<double>()), held, plan["sequences"].get<std::uint64_t>(),
      plan["sequences"] == 1 ? "" : "s", plan["context"].get<std::uint64_t>());
  text += fmt::format("{:>5} {:>10} {:>10} {:>10} {:>12} {:>10} {:>10} {:>10} {:>12} {:>6}\n",
                      "rank", "shard", "slots", "KV cache", "activations", "staging", "other",
                      "total", "to read", "files");
  const Json& ranks = plan["ranks"];
  std::uint32_t next = 0;
  for (const Json& rank : ranks) {
    const auto number = rank["rank"].get<std::uint32_t>();
    if (number != next) text += fmt::format("{:>5}\n", "...");
    text += table_row(rank, std::to_string(number));
    next = number + 1;
  }
  text += fmt::format("\nto read in all: {}, {:.4f} of the payload of {}\n",
                      human_bytes(plan["bytes_to_read"].get<double>()),
                      plan["requested_to_needed"].get<double>(),
                      human_bytes(plan["payload_bytes"].get<double>()));
  if (plan["world"] > 1) text += moves_text(plan["moves"]);
  if (plan.contains("assumed_dtype")) {
    text += fmt::format(
        "no weights are here: what is to be read is what the config's tensors would be in {}{}\n",
        plan["assumed_dtype"].get<std::string>(), assumed_quantization_text(plan));
  }
  if (plan["device"] == "cuda") {
    const Json& memory = ranks[0]["memory"];
    const double host = memory["staging"].get<double>() + memory["pinned"].get<double>();
    text += fmt::format("of a rank's total, {} is on its GPU and {} pinned host memory\n",
                        human_bytes(memory["total"].get<double>() - host), human_bytes(host));
  }
  if (const auto resident = plan["units_resident"].get<std::uint64_t>(); resident > 0) {
    text += fmt::format("memory.budget keeps {} units gathered on every rank\n", resident);
  }
  if (plan.contains("fits")) text += plan["fits"]["text"].get<std::string>() + "\n";
  return text;
}

}  // namespace

void print_plan(const RunOptions& options, const PlanOptions& plan) {
  LocalFiles files;
  Job job = read_job(files, options.config, options.settings);
  job.model.all_names = options.verbose;
  const OpenModel model = open_model_or_config(files, job.model);
  note_choice(model.catalog, log_notices());
  if (!model.warning.empty()) write_log(LogLevel::Warning, model.warning);
  const std::vector<Prompt> prompts = planned_prompts(files, job, model);
  const DeviceKind device = planned_device(job.machine);
  const Transport transport =
      choose_transport(job.machine, {plan.world, plan.one_node, device, /*share_gpus=*/false},
                       model.graph.units.size());
  RunShape shape = generate_shape(job.shape, model.graph, prompts, plan.world);
  const Placement placement = place_memory(model, plan.world, transport, needs_of(device), shape);
  const FitQuestion question{plan.world, plan.nodes, plan.memory, device == DeviceKind::Cuda,
                             model.layout.bytes()};
  Json json = plan_json(job, model, transport, placement, shape,
                        reads_of_ranks(model, placement.cut, make_staging_ring(job.shape.staging)),
                        shown_ranks(plan.world, plan.json), plan.one_node);
  if (shape.speeds.of_moving() && plan.world > 1) {
    json["moves"]["times"] = times_json(placement, shape);
  }
  const auto planned_bytes = [&](const MemoryPlan& memory) {
    return question.gpus ? memory.device_total(true) : memory.total();
  };
  json["fits"] = fit_json(question, [&](std::uint32_t world) -> std::optional<std::uint64_t> {
    if (world == plan.world) return planned_bytes(placement.memory);
    const Ranks ranks{world, world == 1 || plan.one_node, device, /*share_gpus=*/false};
    RunShape other = generate_shape(job.shape, model.graph, prompts, world);
    try {
      return planned_bytes(
          place_memory(model, world, choose_transport(job.machine, ranks, model.graph.units.size()),
                       needs_of(device), other)
              .memory);
    } catch (const BudgetTooSmall&) {
      return {};
    }
  });
  if (json["fits"].is_null()) json.erase("fits");
  if (model.catalog.format == kNoWeights) {
    json["assumed_dtype"] = name(model.catalog.tensors.front().dtype);
    if (const std::string said = quantization_of(model.catalog.config); !said.empty()) {
      json["assumed_quantization"] = said;
      json["quantization_counted"] = is_stored_form_known(QuantConfig(model.catalog.config));
    }
  }
  const std::string out = plan.json ? json.dump(2) + "\n" : plan_text(json);
  write_stdout(out);
}

}  // namespace initrt
