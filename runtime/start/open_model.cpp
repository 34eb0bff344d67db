#include "runtime/start/open_model.h"

#include <algorithm>

#include "runtime/model/family.h"
#include "runtime/start/end_tokens.h"
#include "runtime/start/tied_tables.h"
#include "runtime/start/tokenizer_files.h"
#include "runtime/start/without_weights.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/no_model.h"
#include "sharding/error.h"
#include "sharding/precision.h"
#include "sharding/quantization.h"

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

// What every run takes from the job alone.
RunShape common_shape(const Job& job) {
  RunShape shape;
  shape.prefetch = static_cast<std::uint32_t>(job.sharding.prefetch);
  shape.staging_bytes = make_staging_ring(job.load.staging).bytes();
  shape.budget = job.memory.budget;
  shape.move = *move_from_name(job.sharding.move);
  shape.speeds = {job.speeds.memory, job.speeds.compute, job.speeds.link, job.speeds.latency};
  return shape;
}

// Whatever the job's keys hold.
std::vector<PromptText> given_prompts(Files& files, const Job& job) {
  const Job::Prompts& several = job.generate.prompts;
  const bool many = !several.empty();
  // An empty one beside others takes back what the job's file says.
  const bool one = job.generate.prompt && !job.generate.prompt->empty();
  if (many && one) {
    fail("both generate.prompt and generate.prompts are set: which one is meant?");
  }
  if (!job.generate.messages.empty()) {
    if (!many && !one) {
      PromptText conversation = prompt_of_job(job, "");
      conversation.conversation.messages = job.generate.messages;
      return {conversation};
    }
    fail("both generate.messages and generate.{} are set: which one is meant?",
         many ? "prompts" : "prompt");
  }
  if (!many) {
    if (!job.generate.prompt) {
      fail("no prompt: set generate.prompt, generate.prompts or generate.messages");
    }
    return {prompt_of_job(job, *job.generate.prompt)};
  }
  if (several.path.empty()) {
    std::vector<PromptText> texts;
    texts.reserve(several.texts.size());
    for (const std::string& text : several.texts) texts.push_back(prompt_of_job(job, text));
    return texts;
  }
  return read_prompt_file(files, several.path, job);
}

// Why the model has nothing to go on from, or no embedding for it; "" where it has.
std::string not_its_own(const Prompt& prompt, std::uint64_t vocabulary) {
  if (prompt.tokens.empty()) {
    return fmt::format(
        "prompt {} is empty: there is nothing to go on from, since the tokenizer begins no text "
        "with a token of its own (BOS)",
        prompt.index);
  }
  for (const TokenId token : prompt.tokens) {
    if (static_cast<std::uint64_t>(token) < vocabulary) continue;
    return fmt::format(
        "prompt {}: the tokenizer gives token {}, but the model has a vocabulary of {}: do they "
        "belong together?",
        prompt.index, token, vocabulary);
  }
  return "";
}

std::uint64_t positions(const Prompt& prompt) {
  return static_cast<std::uint64_t>(prompt.tokens.size()) + prompt.max_new_tokens;
}

// Why a prompt and its new tokens do not fit the job's context, or else the model's; "" where they
// do.
std::string beyond_context(const Prompt& prompt, const Job& job, const Graph& graph) {
  const std::uint64_t asked = job.generate.context, needed = positions(prompt);
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

nlohmann::ordered_json message(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

// The graph of the model's config, and which tensors of the catalog its own are.
void build(OpenModel& model, const Catalog& catalog, const Job& job, bool all_names) {
  try {
    model.graph = build_graph(model.config);
  } catch (const Error& error) {
    fail("{}: {}", job.model_config.empty() ? job.model : job.model_config, error.what());
  }
  model.bindings = bind(model.graph, catalog, all_names);
}

Quantization asked_quantization(const Job& job) {
  return {*quantize_method_from_name(job.quantize.method), job.quantize.skip,
          static_cast<float>(job.quantize.threshold)};
}

// Embedding and head as the tensors have them, and the layout.
void finish(Files& files, const Job& job, bool all_names, const std::function<void()>& alive,
            OpenModel& model) {
  if (has_shared_tables(model)) {  // held and read once
    model.config["tie_word_embeddings"] = true;
    build(model, model.catalog, job, all_names);
  } else if (model.warning = own_head(files, model, alive); !model.warning.empty()) {
    model.config["tie_word_embeddings"] = false;
    build(model, model.catalog, job, all_names);
  }
  model.layout = make_layout(
      model.graph, *precision_from_name(job.precision),
      choose_holding(model.graph, model.bindings, model.catalog, asked_quantization(job)));
  if (job.load.strict && !model.bindings.unexpected.empty()) {
    fail("{}: {} (load.strict)", job.model, describe_unexpected(model.bindings, all_names));
  }
}

}  // namespace

std::string wanted_format(const Job& job) { return job.format == "auto" ? "" : job.format; }

OpenModel open_model(Files& files, const Job& job, bool all_names,
                     const std::function<void()>& alive) {
  OpenModel model;
  // Of several checkpoints in a directory the first that holds the model's tensors.
  const auto check = [&](const Catalog& catalog) {
    if (const std::string what = describe_no_model(files, catalog); !what.empty()) {
      throw UnfitCheckpoint(fmt::format("{}: {}", job.model, what));
    }
    model.config = model_config(files, job, catalog);
    build(model, catalog, job, all_names);
  };
  if (!is_directory(files, job.model) && config_without_weights(files, job.model)) {
    fail("{}: no weights, a config alone: initrt plan and inspect take that, a run needs weights",
         job.model);
  }
  model.catalog = open_checkpoint(files, job.model, wanted_format(job), check);
  finish(files, job, all_names, alive, model);
  return model;
}

OpenModel open_model(Files& files, const Job& job, bool all_names, Catalog catalog) {
  OpenModel model;
  model.catalog = std::move(catalog);
  model.config = model_config(files, job, model.catalog);
  build(model, model.catalog, job, all_names);
  finish(files, job, all_names, {}, model);
  return model;
}

OpenModel open_model_or_config(Files& files, const Job& job, bool all_names) {
  if (wanted_format(job).empty()) {
    if (const auto config = config_without_weights(files, job.model)) {
      const DType silent = precision_from_name(job.precision)->dtype;
      return open_model(files, job, all_names,
                        catalog_without_weights(files, job.model, *config, silent));
    }
  }
  return open_model(files, job, all_names);
}

OpenText open_text(Files& files, const Job& job, const OpenModel& model) {
  OpenText text;
  std::string end_text;
  if (job.tokenizer.empty() && model.catalog.metadata.contains("tokenizer.ggml.model")) {
    try {
      text.tokenizer = make_tokenizer(tokenizer_json_from_gguf(model.catalog.metadata));
    } catch (const Error& error) {
      fail("{}: {}", job.model, error.what());
    }
  } else {
    text.file = need_tokenizer(files, job);
    const nlohmann::json type = model.config.value("model_type", nlohmann::json());
    auto [tokenizer, own] =
        read_tokenizer(files, text.file, type.is_string() ? type.get<std::string>() : "");
    text.tokenizer = std::move(tokenizer);
    text.special = std::move(own);
    SpecialTexts special = special_texts_beside(files, text.file);
    special.merge(SpecialTexts(text.special));
    const auto end = special.find("eos_token");
    if (end != special.end()) end_text = end->second;
  }
  try {
    text.end_tokens = end_tokens_of_model(model.config, model.catalog);
  } catch (const Error& error) {
    fail("{}: {}", job.model, error.what());
  }
  const auto add = [&](std::optional<TokenId> id) {
    const auto end = text.end_tokens.end();
    if (id && std::find(text.end_tokens.begin(), end, *id) == end) text.end_tokens.push_back(*id);
  };
  if (!end_text.empty()) add(special_token_id(files, text.file, *text.tokenizer, end_text));
  if (text.end_tokens.empty()) add(text.tokenizer->end_token());
  return text;
}

std::vector<PromptText> read_prompts(Files& files, const Job& job) {
  std::vector<PromptText> prompts = given_prompts(files, job);
  bool conversations = false;
  for (PromptText& prompt : prompts) {
    if (!prompt.error.empty()) continue;
    auto& [messages, tools] = prompt.conversation;
    if (messages.empty() && job.generate.chat) messages.push_back(message("user", prompt.text));
    if (messages.empty()) continue;
    conversations = true;
    if (tools.is_null()) tools = job.generate.tools;
    if (job.generate.system.empty() || messages.front()["role"] == "system") continue;
    messages.insert(messages.begin(), message("system", job.generate.system));
  }
  const char* unused = !job.generate.system.empty()                 ? "system"
                       : !job.generate.tools.is_null()              ? "tools"
                       : !job.generate.chat_template.empty()        ? "chat_template"
                       : !job.generate.chat_template_kwargs.empty() ? "chat_template_kwargs"
                                                                    : nullptr;
  if (unused != nullptr && !conversations) {
    fail("generate.{} is set, but no prompt is a conversation: set generate.chat (--chat)", unused);
  }
  const PromptRange range = range_of_part(job.generate.part, prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompts[i].done = i < range.first || i >= range.last;
  }
  return prompts;
}

std::vector<Prompt> tokenize(const Tokenizer& tokenizer, std::vector<PromptText>& texts,
                             std::uint64_t vocabulary) {
  std::vector<Prompt> prompts;
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    PromptText& text = texts[i];
    if (!is_open(text)) continue;
    Prompt prompt{
        i,
        text.conversation.empty() ? tokenizer.encode(text.text) : tokenizer.encode_bare(text.text),
        static_cast<std::uint32_t>(text.max_new_tokens), text.sampler};
    if (const std::string why = not_its_own(prompt, vocabulary); why.empty()) {
      prompts.push_back(std::move(prompt));
    } else {
      refuse_prompt(text, why);
    }
  }
  return prompts;
}

void refuse_beyond_context(const Job& job, const Graph& graph, std::vector<PromptText>& texts,
                           std::vector<Prompt>& prompts) {
  std::erase_if(prompts, [&](const Prompt& prompt) {
    const std::string why = beyond_context(prompt, job, graph);
    if (!why.empty()) refuse_prompt(texts[prompt.index], why);
    return !why.empty();
  });
}

RunShape generate_shape(const Job& job, const Graph& graph, const std::vector<Prompt>& prompts,
                        std::uint32_t world) {
  std::uint64_t prompt_tokens = 0;
  const Prompt* largest = &prompts.front();
  for (const Prompt& prompt : prompts) {
    prompt_tokens = std::max<std::uint64_t>(prompt_tokens, prompt.tokens.size());
    if (positions(prompt) > positions(*largest)) largest = &prompt;
  }
  if (job.generate.context > graph.context) {
    fail("a context of {} positions (generate.context) is beyond the model's {}",
         job.generate.context, graph.context);
  }
  if (const std::string why = beyond_context(*largest, job, graph); !why.empty()) throw Error(why);
  const std::uint64_t context =
      job.generate.context == 0 ? positions(*largest) : job.generate.context;
  RunShape shape = common_shape(job);
  shape.sequences =
      std::min<std::uint64_t>(job.generate.batch, (prompts.size() + world - 1) / world);
  shape.context = context;
  shape.sweep_rows = std::max(
      shape.sequences, std::min(job.generate.prefill_chunk, shape.sequences * prompt_tokens));
  shape.logit_rows = shape.sequences;
  shape.active_ranks = std::min<std::uint64_t>(prompts.size(), world);
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
