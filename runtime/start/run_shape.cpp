#include "runtime/start/run_shape.h"

#include <algorithm>
#include <optional>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"
#include "sharding/reads.h"

namespace initrt {
namespace {

// Rows of logits that scoring keeps at once: a matrix product's worth, not a whole text's.
constexpr std::uint64_t kScoreRows = 64;

// What every run takes from the options alone.
RunShape common_shape(const ShapeOptions& options) {
  // A job's values have been checked; another program's have not.
  const std::optional<Move> move = move_from_name(options.move);
  if (!move) {
    fail("sharding.move is {}, expected \"auto\", \"weights\" or \"activations\"",
         quote(options.move));
  }
  if (options.batch == 0 || options.prefill_chunk == 0) {
    fail("generate.batch is {} and generate.prefill_chunk {}, expected at least 1", options.batch,
         options.prefill_chunk);
  }
  RunShape shape;
  shape.prefetch = static_cast<std::uint32_t>(options.prefetch);
  shape.staging_bytes = make_staging_ring(options.staging).bytes();
  shape.budget = options.budget;
  shape.move = *move;
  shape.speeds = options.speeds;
  return shape;
}

std::uint64_t positions(const Prompt& prompt) {
  return static_cast<std::uint64_t>(prompt.tokens.size()) + prompt.max_new_tokens;
}

}  // namespace

std::string beyond_context(const Prompt& prompt, const ShapeOptions& options, const Graph& graph) {
  const std::uint64_t asked = options.context, needed = positions(prompt);
  if (needed <= (asked == 0 ? graph.context : asked)) return "";
  if (asked == 0) {
    return fmt::format(
        "a context of {} positions (a prompt of {} tokens and max_new_tokens {}) is beyond the "
        "model's {}",
        needed, prompt.tokens.size(), prompt.max_new_tokens, graph.context);
  }
  return fmt::format(
      "prompt {} has {} tokens and its max_new_tokens is {}: {} positions, but generate.context "
      "is {}",
      prompt.index, prompt.tokens.size(), prompt.max_new_tokens, needed, asked);
}

RunShape generate_shape(const ShapeOptions& options, const Graph& graph,
                        const std::vector<Prompt>& prompts, std::uint32_t world) {
  std::uint64_t prompt_tokens = 0;
  const Prompt* largest = &prompts.front();
  for (const Prompt& prompt : prompts) {
    prompt_tokens = std::max<std::uint64_t>(prompt_tokens, prompt.tokens.size());
    if (positions(prompt) > positions(*largest)) largest = &prompt;
  }
  if (options.context > graph.context) {
    fail("a context of {} positions (generate.context) is beyond the model's {}", options.context,
         graph.context);
  }
  if (const std::string why = beyond_context(*largest, options, graph); !why.empty())
    throw Error(why);
  const std::uint64_t context = options.context == 0 ? positions(*largest) : options.context;
  RunShape shape = common_shape(options);
  shape.sequences = std::min<std::uint64_t>(options.batch, (prompts.size() + world - 1) / world);
  shape.context = context;
  shape.sweep_rows =
      std::max(shape.sequences, std::min(options.prefill_chunk, shape.sequences * prompt_tokens));
  shape.logit_rows = shape.sequences;
  shape.active_ranks = std::min<std::uint64_t>(prompts.size(), world);
  return shape;
}

RunShape score_shape(const ShapeOptions& options, const Graph& graph, std::size_t tokens) {
  if (tokens > graph.context) {
    fail("a text of {} tokens is beyond the model's context of {}", tokens, graph.context);
  }
  RunShape shape = common_shape(options);
  shape.context = tokens;
  shape.sweep_rows =
      std::min({options.prefill_chunk, kScoreRows, static_cast<std::uint64_t>(tokens)});
  shape.logit_rows = shape.sweep_rows;
  shape.active_ranks = 1;
  return shape;
}

Placement place_memory(const OpenModel& model, std::uint32_t world, Transport transport,
                       const NeedsOfDevice& needs, RunShape& shape) {
  shape.gather = gather_kind(transport);
  shape.moved_rows = moved_rows(shape, world);
  shape.device = needs({model.layout.dtype, shape.product_rows(), widest_linear_input(model.graph),
                        model.layout.formats()});
  shape.through_host = goes_through_host(transport, shape.device.discrete_memory);
  return plan_memory(model.graph, model.layout, world, shape);
}

}  // namespace initrt
