// A program of one's own on initrt's libraries: opens a checkpoint, brings it up on all ranks of
// the world, alone or under mpirun, and answers a prompt greedily.
//
//   generate MODEL PROMPT [NEW_TOKENS [TOKENIZER]]
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "runtime/exec/generate.h"
#include "runtime/machine/world.h"
#include "runtime/start/on_all_ranks.h"
#include "runtime/start/open_text.h"
#include "runtime/start/run_shape.h"
#include "runtime/start/running_rank.h"

namespace {

// What every rank knows before anything is allocated. Files are read by rank 0.
struct Prepared {
  initrt::OpenModel model;
  initrt::OpenText text;
  std::vector<initrt::Prompt> prompts;
};

void answer(initrt::World& world, const initrt::ModelOptions& options, const std::string& prompt,
            std::uint32_t new_tokens) {
  const auto prepared = initrt::prepare_on_all_ranks(world.comm(), [&](initrt::Files& files) {
    Prepared all;
    all.model = initrt::open_model(files, options);
    all.text = initrt::open_text(files, options, all.model);
    all.prompts = {{0, all.text.tokenizer->encode(prompt), new_tokens}};
    return all;
  });

  initrt::RankOptions rank_options;
  rank_options.notices.warning = [](const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
  };
  const initrt::RunShape shape =
      initrt::generate_shape({}, prepared.model.graph, prepared.prompts, world.size());
  initrt::RunningRank rank(world, prepared.model, shape, rank_options);
  rank.start_loading();  // the first sweep waits for each unit, not for all of them

  initrt::GenerateOptions generating;
  generating.prefill_chunk = static_cast<std::uint32_t>(shape.sweep_rows);
  generating.end_tokens = prepared.text.end_tokens;
  const auto show = [&](const std::vector<initrt::Completion>& finished) {
    for (const initrt::Completion& completion : finished) {  // on the rank that ran the prompt
      std::string text = prompt;
      for (const initrt::TokenId token : completion.tokens) {
        text += prepared.text.tokenizer->token_bytes(token);
      }
      text += '\n';
      std::fwrite(text.data(), 1, text.size(), stdout);
    }
  };
  (void)initrt::generate(rank.engine(), prepared.prompts,
                         static_cast<std::uint32_t>(shape.sequences), generating, {}, show);
  (void)rank.finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "generate MODEL PROMPT [NEW_TOKENS [TOKENIZER]]\n"), 2;
  try {
    initrt::World world;
    initrt::ModelOptions options;
    options.path = argv[1];
    if (argc > 4) options.tokenizer = argv[4];
    const std::uint32_t new_tokens =
        argc > 3 ? static_cast<std::uint32_t>(std::stoul(argv[3])) : 50;
    // What fails on one rank ends all: here, before what waits for other ranks is unwound.
    world.guard([&] { answer(world, options, argv[2], new_tokens); });
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "generate: %s\n", error.what());
    return 1;
  }
}
