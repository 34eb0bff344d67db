// The main job, from the job file to the report. Read it from the bottom.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "launch/commands.h"
#include "runtime/device/host_buffer.h"
#include "runtime/exec/generate.h"
#include "sharding/error.h"

namespace initrt {
namespace {

struct Prepared {
  Job job;
  OpenModel model;
  OpenText text;
  std::vector<std::string> prompt_texts;
  std::vector<Prompt> prompts;
};

Prepared prepare(Files& files, const RunOptions& options) {
  Prepared prepared;
  prepared.job = read_job(files, options.config, options.settings);
  prepared.prompt_texts = read_prompts(files, prepared.job);
  prepared.model = open_model(files, prepared.job, options.verbose);
  prepared.text = open_text(files, prepared.job, prepared.model);
  prepared.prompts = tokenize(*prepared.text.tokenizer, prepared.prompt_texts);
  return prepared;
}

GenerateOptions generate_options(const Prepared& prepared, const RunShape& shape) {
  const auto& wanted = prepared.job.generate;
  GenerateOptions options;
  options.max_new_tokens = static_cast<std::uint32_t>(wanted.max_new_tokens);
  options.prefill_chunk = static_cast<std::uint32_t>(shape.sweep_rows);
  if (!wanted.ignore_eos) options.end_tokens = prepared.text.end_tokens;
  options.sampler = {static_cast<float>(wanted.temperature), static_cast<int>(wanted.top_k),
                     static_cast<float>(wanted.top_p), wanted.seed};
  check(options.sampler);
  return options;
}

void put(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fail("standard output cannot be written");
  }
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

// All ranks' completions at rank 0, in the order of the prompts. Collective.
std::vector<Completion> gather_completions(Communicator& comm,
                                           const std::vector<Completion>& mine,
                                           std::size_t prompts) {
  std::vector<Completion> all(prompts);
  for (std::uint32_t root = 0; root < comm.size(); ++root) {
    std::vector<std::byte> packed;
    if (root == comm.rank()) {
      std::vector<std::uint32_t> words;
      for (const Completion& completion : mine) {
        words.push_back(completion.index);
        words.push_back(completion.ended ? 1 : 0);
        words.push_back(static_cast<std::uint32_t>(completion.tokens.size()));
        words.insert(words.end(), completion.tokens.begin(), completion.tokens.end());
      }
      const auto bytes = std::as_bytes(std::span(words));
      packed.assign(bytes.begin(), bytes.end());
    }
    comm.broadcast(packed, root);
    std::vector<std::uint32_t> words(packed.size() / sizeof(std::uint32_t));
    std::copy(packed.begin(), packed.end(), std::as_writable_bytes(std::span(words)).begin());
    for (std::size_t at = 0; at < words.size();) {
      Completion& completion = all.at(words[at]);
      completion.index = words[at];
      completion.ended = words[at + 1] != 0;
      const auto first = words.begin() + static_cast<std::ptrdiff_t>(at) + 3;
      completion.tokens.assign(first, first + words[at + 2]);
      at += 3 + words[at + 2];
    }
  }
  return all;
}

std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  Utf8Stream utf8;
  std::string text;
  for (const TokenId id : tokens) text += utf8.push(tokenizer.token_bytes(id));
  return text + utf8.finish();
}

void put_completions(const Prepared& prepared, const std::vector<Completion>& completions) {
  for (const Completion& completion : completions) {
    const nlohmann::ordered_json line = {
        {"prompt", prepared.prompt_texts[completion.index]},
        {"completion", decode(*prepared.text.tokenizer, completion.tokens)},
        {"tokens", completion.tokens},
        {"finish_reason", completion.ended ? "stop" : "length"}};
    put(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  }
}

// Loads, generates and reports, with everything known.
void run_prepared(World& world, const Prepared& prepared, BringUp& rank,
                  const RunOptions& options) {
  Communicator& comm = world.comm();
  const bool single = !prepared.job.generate.prompt.empty();
  const bool speaks = world.rank() == 0 && single;
  TextStream stream(*prepared.text.tokenizer);
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
  GenerateStatistics statistics;
  const std::vector<Completion> mine = generate(
      rank.engine(), prompts_of_rank(prepared.prompts, world.rank(), world.size()),
      static_cast<std::uint32_t>(rank.shape().sequences), generate_options(prepared, rank.shape()),
      on_token, statistics);
  if (speaks) stream.end();
  RankReport report = rank.finish();
  if (!single) {
    const auto all = gather_completions(comm, mine, prepared.prompts.size());
    if (world.rank() == 0) put_completions(prepared, all);
  }

  comm.note_progress(Stage::Finish, 0);
  report.first_token_seconds = statistics.first_token_seconds;
  report.seconds = statistics.seconds;
  report.tokens = statistics.tokens;
  report.decode_seconds = statistics.decode_seconds;
  report.decode_tokens = statistics.decode_tokens;
  give_report(world, prepared.job, rank.facts(), report, options.report);
}

}  // namespace

void run(World& world, const RunOptions& options) {
  world.comm().note_progress(Stage::Start, 0);
  const Prepared prepared =
      prepare_on_all_ranks(world.comm(), [&](Files& files) { return prepare(files, options); });
  BringUp rank(world, prepared.job, prepared.model,
               generate_shape(prepared.job, prepared.model.graph, prepared.prompts, world.size()),
               options);
  world.guard([&] { run_prepared(world, prepared, rank, options); });
}

}  // namespace initrt
