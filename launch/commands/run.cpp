// The main job, from the job file to the report. Read it from the bottom.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <span>

#include "launch/commands/commands.h"
#include "launch/commands/watched_rank.h"
#include "launch/job/prompts.h"
#include "launch/machine/stop_signals.h"
#include "launch/output/answer_settings.h"
#include "launch/output/answers.h"
#include "launch/output/faulty_output.h"
#include "launch/output/log.h"
#include "launch/output/metrics_file.h"
#include "launch/output/result_file.h"
#include "launch/output/standard_output.h"
#include "runtime/exec/generate.h"
#include "runtime/start/on_all_ranks.h"
#include "runtime/start/run_shape.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Answers wait for those before them: at most so many batches of all ranks, which are done longest
// prompt first.
constexpr std::size_t kBatchesAhead = 8;

struct Prepared {
  Job job;
  std::vector<PromptText> prompt_texts;
  PromptRange range;
  FinishedResults finished;  // by earlier runs
  OpenModel model;
  OpenText text;
  std::vector<Prompt> prompts;            // those that are left, in the order in which they begin
  std::optional<AnswerSettings> earlier;  // what the finished results were made with, if it is said
  AnswerSettings settings;                // what this run's are; null without generate.output

  [[nodiscard]] std::span<const PromptText> own_prompts() const {
    return std::span(prompt_texts).subspan(range.first, range.last - range.first);
  }
  // Some results are there already.
  [[nodiscard]] bool goes_on() const { return finished.count > 0 || !finished.ahead.empty(); }

  // One prompt and its answer as plain text, not results as lines.
  [[nodiscard]] bool streamed() const {
    const auto& wanted = job.generate;
    return wanted.prompts.empty() && wanted.logprobs == 0 && wanted.output.empty();
  }
};

// The job, its prompts, and what earlier runs have left of them.
void prepare_prompts(Files& files, const RunOptions& options, World& world, Prepared& prepared) {
  prepared.job = read_job(files, options.config, options.settings);
  prepared.job.model.all_names = options.verbose;
  const Job& job = prepared.job;
  world.set_timeout(std::chrono::seconds(job.timeout));
  prepared.prompt_texts = read_prompts(files, job);
  prepared.range = range_of_part(job.generate.part, prepared.prompt_texts.size());
  if (job.generate.output.empty()) return;
  prepared.finished =
      find_finished(files, job.generate.output, prepared.prompt_texts, prepared.range);
  if (prepared.goes_on()) prepared.earlier = read_settings(files, job.generate.output);
  prepared.settings = settings_of(job, prepared.own_prompts());
  mark_done(prepared.finished, prepared.range, prepared.prompt_texts);
}

// Results of other settings are not gone on from.
void compare_with_earlier(const Prepared& prepared) {
  if (!prepared.earlier) return;
  refuse_others(prepared.job.generate.output, *prepared.earlier, prepared.settings,
                prepared.own_prompts());
}

// Whether the model is to be opened: to run it, or to see what results of another path are of.
bool needs_model(const Prepared& prepared) {
  if (std::ranges::any_of(prepared.prompt_texts, is_open)) return true;
  return prepared.earlier && !same_model_path(*prepared.earlier, prepared.settings);
}

Prepared prepare(Files& files, World& world, const RunOptions& options) {
  Prepared prepared;
  prepare_prompts(files, options, world, prepared);
  std::vector<PromptText>& texts = prepared.prompt_texts;
  if (!needs_model(prepared)) {
    compare_with_earlier(prepared);
    return prepared;
  }
  const Job& job = prepared.job;
  prepared.model =
      open_model(files, job.model, [&] { world.comm().note_progress(Stage::Start, 0); });
  prepared.text = open_text(files, job.model, prepared.model);
  if (!job.generate.output.empty()) {
    add_model(prepared.settings, files, job, prepared.model, prepared.text, prepared.own_prompts());
    compare_with_earlier(prepared);
  }
  apply_chat_template(files, prepared.model, job, prepared.text, texts);
  world.comm().note_progress(Stage::Start, 0);
  prepared.prompts = tokenize(*prepared.text.tokenizer, texts, prepared.model.graph.vocabulary);
  refuse_beyond_context(job, prepared.model.graph, texts, prepared.prompts);
  prepared.prompts =
      longest_first(std::move(prepared.prompts), kBatchesAhead * world.size() * job.shape.batch);
  return prepared;
}

GenerateOptions generate_options(const Prepared& prepared, const RunShape& shape) {
  const auto& wanted = prepared.job.generate;
  GenerateOptions options;
  options.prefill_chunk = static_cast<std::uint32_t>(shape.sweep_rows);
  if (!wanted.ignore_eos) options.end_tokens = prepared.text.end_tokens;
  options.logprobs = static_cast<std::uint32_t>(wanted.logprobs);
  options.sampler = sampler_options(prepared.job);
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

// Results as lines, on rank 0: to generate.output, else to standard output.
class Results {
 public:
  Results(const Prepared& prepared, std::function<void()> reader_waits)
      : prepared_(prepared), stream_(std::move(reader_waits)) {
    const std::string& path = prepared.job.generate.output;
    if (!path.empty()) open_file(path);
    PromptRange left = prepared.range;
    left.first += prepared.finished.count;
    ResultOutput* output = file_ ? static_cast<ResultOutput*>(&*file_) : &stream_;
    if (FaultInjector* const fault = armed_fault())
      output = &faulty_.emplace(*output, path, *fault);
    lines_.emplace(prepared.text.tokenizer.get(), prepared.prompt_texts, *output, left);
  }

  /// What is known before any prompt is run.
  void begin() {
    lines_->begin(file_ ? file_->take_kept() : std::map<std::uint32_t, std::string>());
  }
  void add(std::vector<Completion> completions) { lines_->add(std::move(completions)); }

  /// Nothing more comes. Says what a person should know of it.
  void finish() {
    const std::uint32_t all = prepared_.range.last - prepared_.range.first;
    const std::uint32_t given = lines_->given() - prepared_.range.first;
    if (file_) file_->finish(given == all);
    std::vector<const PromptText*> refused;
    for (const PromptText& prompt : prepared_.prompt_texts) {
      if (!prompt.error.empty() && !prompt.done) refused.push_back(&prompt);
    }
    if (!refused.empty()) {
      write_log(
          LogLevel::Warning,
          fmt::format("{} of {} prompts could not be run, as their results say; the first: {}",
                      refused.size(), all, refused.front()->error));
    }
  }

  /// "12 of 20 results are in results.jsonl".
  [[nodiscard]] std::string state() const {
    const std::string& path = prepared_.job.generate.output;
    return fmt::format("{} of {} results are {}", lines_->given() - prepared_.range.first,
                       prepared_.range.last - prepared_.range.first,
                       path.empty() ? "given out" : "in " + path);
  }

 private:
  void open_file(const std::string& path) {
    file_.emplace(path, prepared_.finished);
    if (prepared_.prompts.empty()) return;  // nothing is added to it
    if (prepared_.goes_on() && !prepared_.earlier)
      write_log(LogLevel::Warning, describe_unknown_settings(path));
    write_settings(path, prepared_.settings);
  }

  const Prepared& prepared_;
  ResultStream stream_;
  std::optional<ResultFile> file_;
  std::optional<FaultyOutput> faulty_;  // over either, where a test asks for it
  std::optional<AnswerLines> lines_;
};

// Where the run is, on rank 0, where anyone wants to know: to the file of --metrics, and of results
// to standard error.
class RunWatch {
 public:
  RunWatch(World& world, const Prepared& prepared, const RunOptions& options)
      : lines_(!prepared.streamed() && options.progress != "off") {
    metrics_.model = prepared.job.model.path;
    metrics_.prompts = prepared.prompts.size();
    if (options.metrics.empty()) return;
    file_.emplace(options.metrics, [this, &world] {
      const std::lock_guard lock(mutex_);
      metrics_.loading = world.bytes_of_ranks();
      return metrics_;
    });
  }

  void before_sweep() {
    const std::lock_guard lock(mutex_);
    ++metrics_.sweeps;
  }
  void add(const std::vector<Completion>& completions) {
    const std::lock_guard lock(mutex_);
    metrics_.prompts_done += completions.size();
    for (const Completion& completion : completions) metrics_.tokens += completion.tokens.size();
    if (!lines_ || Clock::now() - told_ < kLineStep) return;
    told_ = Clock::now();
    const double seconds = std::chrono::duration<double>(told_ - began_).count();
    write_log(LogLevel::Note, fmt::format("{} of {} prompts, {} tokens, {:.1f}/s over all ranks",
                                          metrics_.prompts_done, metrics_.prompts, metrics_.tokens,
                                          static_cast<double>(metrics_.tokens) / seconds));
  }
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      metrics_.running = false;
    }
    if (file_) file_->finish();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kLineStep{10};

  const bool lines_;
  const Clock::time_point began_ = Clock::now();
  Clock::time_point told_ = began_;
  std::mutex mutex_;
  Metrics metrics_;                  // guarded by mutex_
  std::optional<MetricsFile> file_;  // looks at it: last
};

void say(const std::string& text) {
  end_all_progress();
  write_log(LogLevel::Note, text);
}

// Loads, generates and reports, with everything known. @returns the signal that stopped it, or 0
int run_prepared(World& world, const Prepared& prepared, WatchedRank& rank, Results* results,
                 RunWatch* watch) {
  Communicator& comm = world.comm();
  const bool streamed = prepared.streamed();
  const bool speaks = world.rank() == 0 && streamed;
  const Tokenizer& tokenizer = *prepared.text.tokenizer;
  TextStream stream([&world] { world.note_reader_waits(); });
  std::map<std::uint32_t, AnswerText> texts;  // of this rank's prompts, where anyone looks at them
  const TokenHook on_token = [&](std::uint32_t prompt, TokenId id, bool end) {
    const PromptText& asked = prepared.prompt_texts[prompt];
    if (!speaks && asked.stop.empty()) return false;
    const auto [answer, begun] = texts.try_emplace(prompt, tokenizer, asked.stop);
    if (speaks && begun) {
      rank.end_progress();
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
    if (streamed) {
      if (watch != nullptr) watch->add(finished);
      return;
    }
    std::vector<Completion> all = exchange_completions(comm, finished);
    if (watch != nullptr) watch->add(all);
    if (results != nullptr) results->add(std::move(all));
  };
  GenerateOptions options = generate_options(prepared, rank.shape());
  options.stop_asked = [watch] {
    if (watch != nullptr) watch->before_sweep();
    return static_cast<std::uint32_t>(asked_to_stop());
  };
  const GenerateStatistics statistics =
      generate(rank.engine(), prepared.prompts, static_cast<std::uint32_t>(rank.shape().sequences),
               options, on_token, on_finish);
  if (speaks) stream.end();
  if (results != nullptr) results->finish();
  if (watch != nullptr) watch->finish();
  RankReport report = rank.finish();

  comm.note_progress(Stage::Finish, 0);
  report.add(statistics);
  rank.give_report(report);
  return static_cast<int>(statistics.stopped);
}

void say_stopped(int signal, const Results* results) {
  say(fmt::format("stopped by {}{}", signal_name(signal),
                  results == nullptr
                      ? " before the answer's end"
                      : ": " + results->state() + "; the same command goes on from there"));
}

}  // namespace

int run(World& world, const RunOptions& options) {
  world.comm().note_progress(Stage::Start, 0);
  const Prepared prepared = prepare_on_all_ranks(
      world.comm(), [&](Files& files) { return prepare(files, world, options); });
  const StopSignals signals;
  std::optional<Results> results;
  std::optional<RunWatch> watch;
  std::optional<WatchedRank> rank;
  int signal = 0;
  world.guard([&] {
    if (world.rank() == 0 && !prepared.streamed()) {
      results.emplace(prepared, [&world] { world.note_reader_waits(); });
      results->begin();
    }
    if (prepared.prompts.empty()) {
      if (results) results->finish();
      if (results) say("nothing is left to run: " + results->state());
      return;
    }
    if (world.rank() == 0) watch.emplace(world, prepared, options);
    rank.emplace(
        world, prepared.job, prepared.model,
        generate_shape(prepared.job.shape, prepared.model.graph, prepared.prompts, world.size()),
        options);
    signal = run_prepared(world, prepared, *rank, results ? &*results : nullptr,
                          watch ? &*watch : nullptr);
    if (signal != 0 && world.rank() == 0) say_stopped(signal, results ? &*results : nullptr);
  });
  return signal == 0 ? 0 : stop_status(signal);
}

}  // namespace initrt
