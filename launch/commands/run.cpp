// The main job, from the job file to the report. Read it from the bottom.
#include <map>
#include <optional>

#include "launch/commands/commands.h"
#include "launch/model/chat_template.h"
#include "launch/output/answers.h"
#include "launch/output/standard_output.h"
#include "runtime/exec/generate.h"
#include "sharding/error.h"

namespace initrt {
namespace {

struct Prepared {
  Job job;
  OpenModel model;
  OpenText text;
  SamplerOptions sampler;
  std::vector<PromptText> prompt_texts;
  std::vector<Prompt> prompts;
};

Prepared prepare(Files& files, World& world, const RunOptions& options) {
  Prepared prepared;
  prepared.job = read_job(files, options.config, options.settings);
  world.set_timeout(std::chrono::seconds(prepared.job.timeout));
  prepared.sampler = sampler_options(prepared.job);
  prepared.prompt_texts = read_prompts(files, prepared.job);
  prepared.model = open_model(files, prepared.job, options.verbose,
                              [&] { world.comm().note_progress(Stage::Start, 0); });
  prepared.text = open_text(files, prepared.job, prepared.model);
  apply_chat_template(files, prepared.model, prepared.job, prepared.text, prepared.prompt_texts);
  world.comm().note_progress(Stage::Start, 0);
  prepared.prompts =
      tokenize(*prepared.text.tokenizer, prepared.prompt_texts, prepared.model.graph.vocabulary);
  return prepared;
}

GenerateOptions generate_options(const Prepared& prepared, const RunShape& shape) {
  const auto& wanted = prepared.job.generate;
  GenerateOptions options;
  options.prefill_chunk = static_cast<std::uint32_t>(shape.sweep_rows);
  if (!wanted.ignore_eos) options.end_tokens = prepared.text.end_tokens;
  options.logprobs = static_cast<std::uint32_t>(wanted.logprobs);
  options.sampler = prepared.sampler;
  return options;
}

// One prompt and its answer, or a conversation's answer alone, on standard output as it comes.
class TextStream {
 public:
  /// @param reader_waits as write_stdout()'s `waiting`
  explicit TextStream(std::function<void()> reader_waits)
      : reader_waits_(std::move(reader_waits)) {}
  void show(const std::string& text) {
    if (text.empty()) return;
    last_ = text.back();
    write_stdout(text, reader_waits_);
  }
  void end() {
    if (last_ != '\n') write_stdout("\n", reader_waits_);
  }

 private:
  const std::function<void()> reader_waits_;
  char last_ = 0;
};

// Loads, generates and reports, with everything known.
void run_prepared(World& world, const Prepared& prepared, RunningRank& rank) {
  Communicator& comm = world.comm();
  const auto& wanted = prepared.job.generate;
  const bool streamed = wanted.prompts.empty() && wanted.logprobs == 0;
  const bool speaks = world.rank() == 0 && streamed;
  const Tokenizer& tokenizer = *prepared.text.tokenizer;
  const auto reader_waits = [&world] { world.note_reader_waits(); };
  TextStream stream(reader_waits);
  AnswerLines lines(tokenizer, prepared.prompt_texts, wanted.stop, reader_waits);
  std::map<std::uint32_t, AnswerText> texts;  // of this rank's prompts, where anyone looks at them
  const TokenHook on_token = [&](std::uint32_t prompt, TokenId id, bool end) {
    if (!speaks && wanted.stop.empty()) return false;
    const auto [answer, begun] = texts.try_emplace(prompt, tokenizer, wanted.stop);
    if (speaks && begun) {
      rank.end_progress();
      const PromptText& asked = prepared.prompt_texts.front();
      if (asked.conversation.empty()) stream.show(asked.text);
    }
    const std::string text = end ? "" : answer->second.push(id);
    if (speaks) stream.show(text);
    return answer->second.stopped();
  };
  const FinishHook on_finish = [&](const std::vector<Completion>& finished) {
    for (const Completion& completion : finished) {
      const auto answer = texts.extract(completion.index);
      if (speaks) stream.show(answer.mapped().finish());
    }
    if (streamed) return;
    std::vector<Completion> all = exchange_completions(comm, finished);
    if (world.rank() == 0) lines.add(std::move(all));
  };
  const GenerateStatistics statistics =
      generate(rank.engine(), prepared.prompts, static_cast<std::uint32_t>(rank.shape().sequences),
               generate_options(prepared, rank.shape()), on_token, on_finish);
  if (speaks) stream.end();
  RankReport report = rank.finish();

  comm.note_progress(Stage::Finish, 0);
  report.first_token_seconds = statistics.first_token_seconds;
  report.seconds = statistics.seconds;
  report.tokens = statistics.tokens;
  report.decode_seconds = statistics.decode_seconds;
  report.decode_tokens = statistics.decode_tokens;
  report.sweeps = statistics.sweeps;
  rank.give_report(report);
}

}  // namespace

void run(World& world, const RunOptions& options) {
  world.comm().note_progress(Stage::Start, 0);
  const Prepared prepared = prepare_on_all_ranks(
      world.comm(), [&](Files& files) { return prepare(files, world, options); });
  std::optional<RunningRank> rank;
  world.guard([&] {
    rank.emplace(world, prepared.job, prepared.model,
                 generate_shape(prepared.job, prepared.model.graph, prepared.prompts, world.size()),
                 options);
    run_prepared(world, prepared, *rank);
  });
}

}  // namespace initrt
