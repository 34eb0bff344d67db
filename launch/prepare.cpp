#include "launch/prepare.h"

#include <algorithm>
#include <sstream>

#include "runtime/model/family.h"
#include "runtime/text/sentencepiece.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"
#include "sharding/precision.h"

namespace initrt {
namespace {

// Rows of logits that scoring keeps at once: a matrix product's worth, not a whole text's.
constexpr std::uint64_t kScoreRows = 64;

// "dir" -> "dir/name", "file" -> "file".
std::string file_or_inside(Files& files, const std::string& path, std::string_view name) {
  return is_directory(files, path) ? join_path(path, name) : path;
}

nlohmann::json model_config(Files& files, const Job& job, const Catalog& catalog) {
  if (!job.model_config.empty()) {
    return text_model_config(
        read_json_object(files, file_or_inside(files, job.model_config, "config.json")));
  }
  if (catalog.config.is_null()) {
    fail("{}: no config.json beside the checkpoint; name one with \"model_config\"", job.model);
  }
  return catalog.config;
}

// The tokenizer's file: tokenizer.json where there are both.
std::string tokenizer_path(Files& files, const Job& job) {
  const bool named = !job.tokenizer.empty();
  const std::string& given = named ? job.tokenizer : job.model;
  const bool inside = is_directory(files, given);
  if (named && !inside) return given;
  const std::string directory = inside ? given : directory_of(given);
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    const std::string path = join_path(directory, name);
    if (files.stat(path)) return path;
  }
  fail("{}: no tokenizer.json or tokenizer.model {} it; name one with \"tokenizer\"", given,
       inside ? "in" : "beside");
}

// An id, or a list of ids.
void add_end_tokens(const nlohmann::json& config, std::vector<TokenId>& ids) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return;
  const auto add = [&](const nlohmann::json& id) {
    if (id.is_number_unsigned() && id.get<std::uint64_t>() < (1u << 31)) {
      ids.push_back(id.get<TokenId>());
    }
  };
  if (found->is_array()) {
    std::for_each(found->begin(), found->end(), add);
  } else {
    add(*found);
  }
}

std::vector<TokenId> end_tokens(const nlohmann::json& config) {
  std::vector<TokenId> ids;
  const auto generation = config.find("generation_config");
  if (generation != config.end() && generation->is_object()) add_end_tokens(*generation, ids);
  if (ids.empty()) add_end_tokens(config, ids);
  return ids;
}

// The rules of `generate.prompts`' JSONL files: one prompt a line, empty lines left out.
std::vector<std::string> parse_prompt_lines(const std::string& text, const std::string& path) {
  std::vector<std::string> prompts;
  std::istringstream lines(text);
  std::string line;
  for (std::uint64_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}: line {}", path, number);
    const nlohmann::json value = parse_json(line, where);
    if (value.is_string()) {
      prompts.push_back(value.get<std::string>());
    } else if (value.is_object() && value.contains("prompt") && value["prompt"].is_string()) {
      prompts.push_back(value["prompt"].get<std::string>());
    } else {
      fail("{}: expected a string or an object with a string \"prompt\"", where);
    }
  }
  return prompts;
}

// The stored tensor that is all of a canonical one, if there is one.
const TensorEntry* entry_of(const OpenModel& model, std::string_view name) {
  for (std::size_t i = 0; i < model.graph.tensors.size(); ++i) {
    const std::vector<RowRun>& runs = model.bindings.tensors[i].runs;
    if (model.graph.tensors[i].name != name || runs.size() != 1) continue;
    return &model.catalog.tensors[runs.front().source];
  }
  return nullptr;
}

// Whether the embedding and the head are the same bytes of a file, though the config does not say
// so: PyTorch saves a tied table under both names and once.
bool has_shared_tables(const OpenModel& model) {
  const TensorEntry* const embedding = entry_of(model, "model.embed_tokens.weight");
  const TensorEntry* const head = entry_of(model, "lm_head.weight");
  return embedding != nullptr && head != nullptr && embedding->dtype == head->dtype &&
         embedding->parts == head->parts;
}

// What every run takes from the job alone.
RunShape common_shape(const Job& job) {
  RunShape shape;
  shape.prefetch = static_cast<std::uint32_t>(job.sharding.prefetch);
  shape.staging_bytes = make_staging_ring(job.load.staging).bytes();
  shape.budget = job.memory.budget;
  return shape;
}

}  // namespace

OpenModel open_model(Files& files, const Job& job, bool all_names) {
  OpenModel model;
  model.catalog = open_checkpoint(files, job.model, job.format == "auto" ? "" : job.format);
  model.config = model_config(files, job, model.catalog);
  const auto build = [&] {
    try {
      model.graph = build_graph(model.config);
    } catch (const Error& error) {
      fail("{}: {}", job.model_config.empty() ? job.model : job.model_config, error.what());
    }
    model.bindings = bind(model.graph, model.catalog, all_names);
  };
  build();
  if (has_shared_tables(model)) {  // held and read once
    model.config["tie_word_embeddings"] = true;
    build();
  }
  model.layout = make_layout(model.graph, *precision_from_name(job.precision));
  if (job.load.strict && !model.bindings.unexpected.empty()) {
    fail("{}: {} (load.strict)", job.model, describe_unexpected(model.bindings, all_names));
  }
  return model;
}

OpenText open_text(Files& files, const Job& job, const OpenModel& model) {
  nlohmann::json json;        // null where the tokenizer is a SentencePiece model,
  std::string sentencepiece;  // whose bytes these are
  std::string path = job.model;
  if (job.tokenizer.empty() && model.catalog.metadata.contains("tokenizer.ggml.model")) {
    json = tokenizer_json_from_gguf(model.catalog.metadata);
  } else {
    path = tokenizer_path(files, job);
    if (path.ends_with(".model")) {
      sentencepiece = files.read_text(path, kMostTokenizerBytes);
    } else {
      json = read_json_object(files, path, kMostTokenizerBytes);
    }
  }
  OpenText text;
  try {
    text.tokenizer =
        json.is_null() ? make_sentencepiece_tokenizer(sentencepiece) : make_tokenizer(json);
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
  text.end_tokens = end_tokens(model.config);
  if (text.end_tokens.empty()) {
    if (const auto end = text.tokenizer->end_token()) text.end_tokens.push_back(*end);
  }
  return text;
}

std::vector<std::string> read_prompts(Files& files, const Job& job) {
  const Job::Prompts& several = job.generate.prompts;
  const bool many = !several.texts.empty() || !several.path.empty();
  if (many && !job.generate.prompt.empty()) {
    fail("both generate.prompt and generate.prompts are set: which one is meant?");
  }
  if (!many) {
    if (job.generate.prompt.empty()) fail("the prompt is empty: set generate.prompt");
    return {job.generate.prompt};
  }
  if (several.path.empty()) return several.texts;
  std::vector<std::string> texts = parse_prompt_lines(files.read_text(several.path), several.path);
  if (texts.empty()) fail("{}: no prompts in this file", several.path);
  return texts;
}

std::vector<Prompt> tokenize(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                             std::uint64_t vocabulary) {
  std::vector<Prompt> prompts;
  for (const std::string& text : texts) {
    Prompt prompt{static_cast<std::uint32_t>(prompts.size()), tokenizer.encode(text)};
    if (prompt.tokens.empty()) {
      fail("prompt {} is empty: there is nothing to go on from", prompt.index);
    }
    for (const TokenId token : prompt.tokens) {
      if (static_cast<std::uint64_t>(token) < vocabulary) continue;
      fail(
          "prompt {}: the tokenizer gives token {}, but the model has a vocabulary of {}: do they "
          "belong together?",
          prompt.index, token, vocabulary);
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

SamplerOptions sampler_options(const Job& job) {
  const SamplerOptions options{static_cast<float>(job.generate.temperature),
                               static_cast<int>(job.generate.top_k),
                               static_cast<float>(job.generate.top_p), job.generate.seed};
  check(options);
  return options;
}

std::vector<Prompt> prompts_of_rank(const std::vector<Prompt>& prompts, std::uint32_t rank,
                                    std::uint32_t world) {
  std::vector<Prompt> own;
  for (std::size_t i = rank; i < prompts.size(); i += world) own.push_back(prompts[i]);
  return own;
}

RunShape generate_shape(const Job& job, const Graph& graph, const std::vector<Prompt>& prompts,
                        std::uint32_t world) {
  const auto longest = std::max_element(
      prompts.begin(), prompts.end(),
      [](const Prompt& a, const Prompt& b) { return a.tokens.size() < b.tokens.size(); });
  const std::uint64_t prompt_tokens = longest->tokens.size();
  const std::uint64_t needed = prompt_tokens + job.generate.max_new_tokens;
  const std::uint64_t context = job.generate.context == 0 ? needed : job.generate.context;
  if (context > graph.context) {
    fail("a context of {} positions ({}) is beyond the model's {}", context,
         job.generate.context == 0
             ? fmt::format("a prompt of {} tokens and generate.max_new_tokens {}", prompt_tokens,
                           job.generate.max_new_tokens)
             : "generate.context",
         graph.context);
  }
  if (needed > context) {
    fail(
        "prompt {} has {} tokens and generate.max_new_tokens is {}: {} positions, but "
        "generate.context is {}",
        longest->index, prompt_tokens, job.generate.max_new_tokens, needed, context);
  }
  RunShape shape = common_shape(job);
  shape.sequences =
      std::min<std::uint64_t>(job.generate.batch, (prompts.size() + world - 1) / world);
  shape.context = context;
  shape.sweep_rows = std::max(
      shape.sequences, std::min(job.generate.prefill_chunk, shape.sequences * prompt_tokens));
  shape.logit_rows = shape.sequences;
  return shape;
}

RunShape score_shape(const Job& job, const Graph& graph, std::size_t tokens) {
  if (tokens > graph.context) {
    fail("a text of {} tokens is beyond the model's context of {}", tokens, graph.context);
  }
  RunShape shape = common_shape(job);
  shape.context = tokens;
  shape.sweep_rows =
      std::min({job.generate.prefill_chunk, kScoreRows, static_cast<std::uint64_t>(tokens)});
  shape.logit_rows = shape.sweep_rows;
  return shape;
}

Placement place_memory(const OpenModel& model, std::uint32_t world, Transport transport,
                       const Device& device, RunShape& shape) {
  shape.gather = gather_kind(transport);
  shape.device_scratch =
      device.scratch_bytes(model.layout.dtype, shape.sweep_rows, widest_linear_input(model.graph));
  return plan_memory(model.graph, model.layout, world, kHostGranularity, shape);
}

}  // namespace initrt
