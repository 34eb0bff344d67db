// Everything that is known before memory is allocated or payload read: what the checkpoint holds,
// the model's graph and layout, which tensor comes from where, the tokenizer and the prompts.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/job/job.h"
#include "launch/job/prompt_file.h"
#include "runtime/comm/communicator.h"
#include "runtime/exec/generate.h"
#include "runtime/exec/instance.h"
#include "runtime/storage/local_files.h"
#include "runtime/storage/recorded_files.h"
#include "runtime/text/tokenizer.h"
#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/graph.h"
#include "sharding/layout.h"

namespace initrt {

struct OpenModel {
  Catalog catalog;
  nlohmann::json config;  ///< in Hugging Face's keys
  Graph graph;
  Layout layout;
  Bindings bindings;
  std::string warning;  ///< of what is taken otherwise than the config says; "" for nothing

  [[nodiscard]] Model view() const { return {graph, layout, bindings, catalog}; }
};

/// The name of the format that the job asks for, or "".
[[nodiscard]] std::string wanted_format(const Job& job);

/// Catalog, graph, layout and bindings of the job's model, with its weights.
/// @param all_names see bind()
/// @throws Error for whatever is missing or does not fit together; under load.strict also for
///         tensors that nothing uses
/// @param alive called again and again where tensors have to be read; may be empty
[[nodiscard]] OpenModel open_model(Files& files, const Job& job, bool all_names,
                                   const std::function<void()>& alive = {});

/// The same of a catalog that is open already.
[[nodiscard]] OpenModel open_model(Files& files, const Job& job, bool all_names, Catalog catalog);

/// What a run would open, or a model without weights (without_weights.h) where a config is alone.
[[nodiscard]] OpenModel open_model_or_config(Files& files, const Job& job, bool all_names);

struct OpenText {
  std::unique_ptr<Tokenizer> tokenizer;
  std::string file;      ///< the tokenizer's; "" where it is in a GGUF file's metadata
  SpecialTexts special;  ///< as the tokenizer's file itself has them; for most it does not
  /// The model's, and the one that the files beside the tokenizer name; else the tokenizer's own.
  /// Whatever ignore_eos says.
  std::vector<TokenId> end_tokens;
};

/// The tokenizer: the job's, or what the checkpoint carries: a GGUF file in its metadata, others in
/// files beside them (find_tokenizer()).
[[nodiscard]] OpenText open_text(Files& files, const Job& job, const OpenModel& model);

/// The job's prompt, prompts or conversations; these have no text yet (apply_chat_template()).
/// @throws Error where there is none, or one is empty
[[nodiscard]] std::vector<PromptText> read_prompts(Files& files, const Job& job);

/// Whether a prompt is still to be run.
[[nodiscard]] inline bool is_open(const PromptText& text) {
  return !text.done && text.error.empty();
}

/// The open prompts as tokens, in order; refuse_prompt() of one that has none, or one that the
/// model has no embedding for.
[[nodiscard]] std::vector<Prompt> tokenize(const Tokenizer& tokenizer,
                                           std::vector<PromptText>& texts,
                                           std::uint64_t vocabulary);

/// Takes prompts out that do not fit the context with their new tokens: refuse_prompt().
void refuse_beyond_context(const Job& job, const Graph& graph, std::vector<PromptText>& texts,
                           std::vector<Prompt>& prompts);

/// What a generating run needs of every rank; the same on all. What the transport and
/// the device decide is left to place_memory(). @throws Error where prompts and new tokens do not
/// fit the context
[[nodiscard]] RunShape generate_shape(const Job& job, const Graph& graph,
                                      const std::vector<Prompt>& prompts, std::uint32_t world);

/// The same for scoring `tokens` tokens on one rank.
[[nodiscard]] RunShape score_shape(const Job& job, const Graph& graph, std::size_t tokens);

/// Device::needs(), of a device that need not be there.
using NeedsOfDevice = std::function<DeviceNeeds(const ProductSizes&)>;

/// Fills in what the transport and the device decide of a shape, and plans memory for it: what
/// `plan` prints and what a run allocates.
[[nodiscard]] Placement place_memory(const OpenModel& model, std::uint32_t world,
                                     Transport transport, const NeedsOfDevice& needs,
                                     RunShape& shape);

/// Runs `prepare(Files&)` on every rank, the files being read by rank 0 alone: the others work on a
/// record of what it read. Collective.
template <class Prepare>
auto prepare_on_all_ranks(Communicator& comm, const Prepare& prepare) {
  LocalFiles local([&comm] {  // a person who still types has not stalled the run
    comm.note_progress(Stage::Start, 0);
    comm.check();
  });
  if (comm.size() == 1) return prepare(static_cast<Files&>(local));
  std::vector<std::byte> log;
  if (comm.rank() == 0) {
    RecordingFiles recording(local);
    auto result = prepare(static_cast<Files&>(recording));
    log = recording.log();
    comm.broadcast(log, 0);
    return result;
  }
  comm.broadcast(log, 0);
  ReplayFiles replay(std::move(log));
  return prepare(static_cast<Files&>(replay));
}

}  // namespace initrt
