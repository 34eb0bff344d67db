// Scoring: a text teacher-forced through the model, on rank 0; the others serve their chunks.
#include <algorithm>
#include <cmath>
#include <optional>

#include "launch/commands/commands.h"
#include "launch/commands/watched_rank.h"
#include "launch/job/job.h"
#include "launch/output/npy.h"
#include "launch/output/standard_output.h"
#include "runtime/exec/generate.h"
#include "runtime/start/on_all_ranks.h"
#include "runtime/start/open_text.h"
#include "runtime/start/run_shape.h"
#include "sharding/error.h"

namespace initrt {
namespace {

struct Prepared {
  Job job;
  OpenModel model;
  std::vector<TokenId> tokens;
};

Prepared prepare(Files& files, World& world, const RunOptions& options, const ScoreOptions& score) {
  Prepared prepared;
  prepared.job = read_job(files, options.config, options.settings);
  world.set_timeout(std::chrono::seconds(prepared.job.timeout));
  prepared.job.model.all_names = options.verbose;
  prepared.model =
      open_model(files, prepared.job.model, [&] { world.comm().note_progress(Stage::Start, 0); });
  prepared.tokens = score.tokens;
  if (!score.text_path.empty()) {
    const std::string text = files.read_input(score.text_path);
    prepared.tokens = open_text(files, prepared.job.model, prepared.model).tokenizer->encode(text);
  }
  if (prepared.tokens.empty()) fail("there is no token to score");
  for (const TokenId token : prepared.tokens) {
    if (token < 0 || static_cast<std::uint64_t>(token) >= prepared.model.graph.vocabulary) {
      fail("token id {} is outside the model's vocabulary of {}", token,
           prepared.model.graph.vocabulary);
    }
  }
  return prepared;
}

// -log softmax(logits)[token], in float64.
double negative_log_likelihood(std::span<const float> logits, TokenId token) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  return most + std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(token)]);
}

// Loads, scores and reports, with everything known.
void score_prepared(World& world, const Prepared& prepared, WatchedRank& rank,
                    std::optional<NpyWriter>& logits_file) {
  const bool first = world.rank() == 0;
  double sum = 0;
  const auto on_logits = [&](std::size_t position, std::span<const float> logits) {
    if (logits_file) logits_file->row(logits);
    if (position + 1 < prepared.tokens.size()) {
      sum += negative_log_likelihood(logits, prepared.tokens[position + 1]);
    }
  };
  const std::span<const TokenId> own =
      first ? std::span<const TokenId>(prepared.tokens) : std::span<const TokenId>();
  score(rank.engine(), own, static_cast<std::uint32_t>(rank.shape().sweep_rows), on_logits);
  const RankReport report = rank.finish();
  if (logits_file) logits_file->close();
  if (first) {
    const auto scored = static_cast<double>(prepared.tokens.size() - 1);
    std::string text = fmt::format("tokens {}\n", prepared.tokens.size());
    if (scored > 0) {
      text += fmt::format("mean negative log-likelihood {:.6f}\nperplexity {:.6f}\n", sum / scored,
                          std::exp(sum / scored));
    }
    write_stdout(text, [&world] { world.note_reader_waits(); });
  }
  rank.give_report(report);
}

}  // namespace

void score(World& world, const RunOptions& options, const ScoreOptions& score_options) {
  world.comm().note_progress(Stage::Start, 0);
  const Prepared prepared = prepare_on_all_ranks(
      world.comm(), [&](Files& files) { return prepare(files, world, options, score_options); });
  std::optional<NpyWriter> logits_file;
  std::optional<WatchedRank> rank;
  world.guard([&] {
    if (world.rank() == 0 && !score_options.logits_path.empty()) {
      logits_file.emplace(score_options.logits_path, prepared.tokens.size(),
                          prepared.model.graph.vocabulary);
    }
    rank.emplace(world, prepared.job, prepared.model,
                 score_shape(prepared.job.shape, prepared.model.graph, prepared.tokens.size()),
                 options);
    score_prepared(world, prepared, *rank, logits_file);
  });
}

}  // namespace initrt
