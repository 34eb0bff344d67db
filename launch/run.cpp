// The main job, from the job file to the report. Read it from the bottom.
#include <map>
#include <nlohmann/json.hpp>

#include "launch/commands.h"
#include "launch/standard_output.h"
#include "runtime/exec/generate.h"
#include "sharding/error.h"

namespace initrt {
namespace {

struct Prepared {
  Job job;
  OpenModel model;
  OpenText text;
  SamplerOptions sampler;
  std::vector<std::string> prompt_texts;
  std::vector<Prompt> prompts;
};

Prepared prepare(Files& files, World& world, const RunOptions& options) {
  Prepared prepared;
  prepared.job = read_job(files, options.config, options.settings);
  world.set_timeout(std::chrono::seconds(prepared.job.timeout));
  prepared.sampler = sampler_options(prepared.job);
  prepared.prompt_texts = read_prompts(files, prepared.job);
  prepared.model = open_model(files, prepared.job, options.verbose);
  prepared.text = open_text(files, prepared.job, prepared.model);
  world.comm().note_progress(Stage::Start, 0);
  prepared.prompts =
      tokenize(*prepared.text.tokenizer, prepared.prompt_texts, prepared.model.graph.vocabulary);
  return prepared;
}

GenerateOptions generate_options(const Prepared& prepared, const RunShape& shape) {
  const auto& wanted = prepared.job.generate;
  GenerateOptions options;
  options.max_new_tokens = static_cast<std::uint32_t>(wanted.max_new_tokens);
  options.prefill_chunk = static_cast<std::uint32_t>(shape.sweep_rows);
  if (!wanted.ignore_eos) options.end_tokens = prepared.text.end_tokens;
  options.sampler = prepared.sampler;
  return options;
}

// One prompt's answer on standard output as it comes, whole characters only.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void begin(const std::string& prompt) { show(prompt); }
  void token(TokenId id) { show(utf8_.push(tokenizer_.token_bytes(id))); }
  void end() {
    show(utf8_.finish());
    if (last_ != '\n') put("\n");
  }

 private:
  void show(const std::string& text) {
    if (text.empty()) return;
    last_ = text.back();
    put(text);
  }

  const Tokenizer& tokenizer_;
  Utf8Stream utf8_;
  char last_ = 0;
};

std::vector<std::byte> pack(const std::vector<Completion>& completions) {
  std::vector<std::uint32_t> words;
  for (const Completion& completion : completions) {
    words.push_back(completion.index);
    words.push_back(completion.ended ? 1 : 0);
    words.push_back(static_cast<std::uint32_t>(completion.tokens.size()));
    words.insert(words.end(), completion.tokens.begin(), completion.tokens.end());
  }
  const auto bytes = std::as_bytes(std::span(words));
  return {bytes.begin(), bytes.end()};
}

std::vector<Completion> unpack(const std::vector<std::byte>& packed) {
  std::vector<std::uint32_t> words(packed.size() / sizeof(std::uint32_t));
  std::copy(packed.begin(), packed.end(), std::as_writable_bytes(std::span(words)).begin());
  std::vector<Completion> completions;
  for (auto at = words.begin(); at != words.end();) {
    Completion completion{at[0], {}, at[1] != 0};
    completion.tokens.assign(at + 3, at + 3 + at[2]);
    at += 3 + at[2];
    completions.push_back(std::move(completion));
  }
  return completions;
}

// All ranks' new completions, on every rank. Collective.
std::vector<Completion> exchange(Communicator& comm, const std::vector<Completion>& mine) {
  const auto count = static_cast<std::uint32_t>(mine.size());
  std::vector<std::uint32_t> counts(comm.size());
  comm.all_gather(std::as_bytes(std::span(&count, 1)), std::as_writable_bytes(std::span(counts)));
  std::vector<Completion> all;
  for (std::uint32_t root = 0; root < comm.size(); ++root) {
    if (counts[root] == 0) continue;
    std::vector<std::byte> packed;
    if (root == comm.rank()) packed = pack(mine);
    comm.broadcast(packed, root);
    for (Completion& completion : unpack(packed)) all.push_back(std::move(completion));
  }
  return all;
}

std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  Utf8Stream utf8;
  std::string text;
  for (const TokenId id : tokens) text += utf8.push(tokenizer.token_bytes(id));
  return text + utf8.finish();
}

// Several prompts' answers on standard output as JSONL, in the prompts' order, each as soon as
// those before it are there.
class AnswerLines {
 public:
  explicit AnswerLines(const Prepared& prepared) : prepared_(prepared) {}

  void add(std::vector<Completion> completions) {
    for (Completion& completion : completions) {
      const std::uint32_t index = completion.index;
      waiting_.emplace(index, std::move(completion));
    }
    for (auto found = waiting_.begin(); found != waiting_.end() && found->first == next_;
         found = waiting_.erase(found), ++next_) {
      show(found->second);
    }
  }

 private:
  void show(const Completion& completion) const {
    const nlohmann::ordered_json line = {
        {"prompt", prepared_.prompt_texts[completion.index]},
        {"completion", decode(*prepared_.text.tokenizer, completion.tokens)},
        {"tokens", completion.tokens},
        {"finish_reason", completion.ended ? "stop" : "length"}};
    put(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  }

  const Prepared& prepared_;
  std::map<std::uint32_t, Completion> waiting_;
  std::uint32_t next_ = 0;
};

// Loads, generates and reports, with everything known.
void run_prepared(World& world, const Prepared& prepared, BringUp& rank) {
  Communicator& comm = world.comm();
  const bool single = !prepared.job.generate.prompt.empty();
  const bool speaks = world.rank() == 0 && single;
  TextStream stream(*prepared.text.tokenizer);
  AnswerLines lines(prepared);
  bool begun = false;
  const TokenHook on_token = [&](std::uint32_t, TokenId id, bool end) {
    if (!speaks) return;
    if (!begun) {
      rank.end_progress();
      stream.begin(prepared.prompt_texts.front());
      begun = true;
    }
    if (!end) stream.token(id);
  };
  const FinishHook on_finish = [&](const std::vector<Completion>& finished) {
    if (single) return;  // it has been shown
    std::vector<Completion> all = exchange(comm, finished);
    if (world.rank() == 0) lines.add(std::move(all));
  };
  const GenerateStatistics statistics =
      generate(rank.engine(), prompts_of_rank(prepared.prompts, world.rank(), world.size()),
               static_cast<std::uint32_t>(rank.shape().sequences),
               generate_options(prepared, rank.shape()), on_token, on_finish);
  if (speaks) stream.end();
  RankReport report = rank.finish();

  comm.note_progress(Stage::Finish, 0);
  report.first_token_seconds = statistics.first_token_seconds;
  report.seconds = statistics.seconds;
  report.tokens = statistics.tokens;
  report.decode_seconds = statistics.decode_seconds;
  report.decode_tokens = statistics.decode_tokens;
  rank.give_report(report);
}

}  // namespace

void run(World& world, const RunOptions& options) {
  world.comm().note_progress(Stage::Start, 0);
  const Prepared prepared = prepare_on_all_ranks(
      world.comm(), [&](Files& files) { return prepare(files, world, options); });
  BringUp rank(world, prepared.job, prepared.model,
               generate_shape(prepared.job, prepared.model.graph, prepared.prompts, world.size()),
               options);
  world.guard([&] { run_prepared(world, prepared, rank); });
}

}  // namespace initrt
