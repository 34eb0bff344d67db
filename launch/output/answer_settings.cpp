#include "launch/output/answer_settings.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <type_traits>
#include <utility>
#include <variant>

#include "runtime/start/chat_sources.h"
#include "runtime/storage/output_file.h"
#include "runtime/values/fingerprint.h"
#include "runtime/values/hash.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// Names beside those of kAnswerKeys.
constexpr const char* kModel = "model";       // the path, for a person
constexpr const char* kPrompts = "prompts";   // how many there were
constexpr const char* kOwn = "own_settings";  // what those say for themselves
constexpr std::array<std::pair<const char*, const char*>, 5> kContents = {{
    {"weights", "the model's weights are others"},
    {"config", "its config is another"},
    {"end_tokens", "its end tokens are others"},
    {"tokenizer", "the tokenizer is another"},
    {"chat_template", "the chat template is another"},
}};

std::string settings_path(const std::string& output) { return output + ".settings"; }

void add(Hasher& hasher, std::string_view text) {
  const std::uint64_t bytes = text.size();
  hasher.add(std::as_bytes(std::span(&bytes, 1)));
  hasher.add(std::as_bytes(std::span(text)));
}

std::string hash_of_text(std::string_view text) {
  Hasher hasher;
  add(hasher, text);
  return hash_text(hasher.value());
}

Json value_of(const JobKey& key, Job& job) {
  return std::visit(
      [&](const auto& kind) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(kind)>, JobKey::PromptList>) {
          return {};
        } else {
          return kind.field(job);
        }
      },
      key.kind);
}

std::string own_settings(std::span<const PromptText> prompts) {
  Hasher hasher;
  for (const PromptText& prompt : prompts) {
    const SamplerOptions& sampler = prompt.sampler;
    const Json own = {prompt.max_new_tokens, sampler.temperature, sampler.top_k,
                      sampler.top_p,         sampler.min_p,       sampler.repetition_penalty,
                      sampler.seed,          prompt.stop,         prompt.conversation.tools};
    add(hasher, own.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return hash_text(hasher.value());
}

// By what it makes of tokens and of a text, wherever it comes from.
std::string hash_of_tokenizer(const Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      "Hello, World! 1234 \n\n\t  naïve Straße 東京 \U0001F680 don't";
  Hasher hasher;
  for (std::size_t id = 0; id < tokenizer.vocabulary(); ++id) {
    add(hasher, tokenizer.token_bytes(static_cast<TokenId>(id)));
  }
  for (const auto& ids : {tokenizer.encode(kText), tokenizer.encode_bare(kText)}) {
    hasher.add(std::as_bytes(std::span(ids)));
  }
  return hash_text(hasher.value());
}

// All that conversations may be given; the job's own where it names a file.
std::string hash_of_chat_templates(Files& files, const Job& job, const OpenModel& model,
                                   const OpenText& text) {
  Hasher hasher;
  for (const auto& [name, source] :
       text.file.empty() ? chat_sources_in_metadata(model.catalog.metadata, job.model.path)
                         : chat_sources_beside(files, text.file)) {
    add(hasher, name);
    add(hasher, source.source);
  }
  const std::string& own = job.chat_template.name;
  add(hasher, !own.empty() && is_file(files, own) ? files.read_text(own) : own);
  return hash_text(hasher.value());
}

std::string shown(const Json& value) {
  constexpr std::size_t kMaxShown = 60;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

}  // namespace

AnswerSettings settings_of(const Job& job, std::span<const PromptText> prompts) {
  Job copy = job;  // a key's field is one of a job that may change
  AnswerSettings settings;
  settings[kModel] = job.model.path;
  for (const JobKey& key : job_keys()) {
    if (std::ranges::find(kAnswerKeys, key.path) == kAnswerKeys.end()) continue;
    settings[std::string(key.path)] = value_of(key, copy);
  }
  settings[kPrompts] = prompts.size();
  settings[kOwn] = own_settings(prompts);
  return settings;
}

void add_model(AnswerSettings& settings, Files& files, const Job& job, const OpenModel& model,
               const OpenText& text, std::span<const PromptText> prompts) {
  settings["weights"] = fingerprint(files, model.catalog);
  settings["config"] = hash_of_text(model.config.dump());
  settings["end_tokens"] = text.end_tokens;
  settings["tokenizer"] = hash_of_tokenizer(*text.tokenizer);
  const auto is_conversation = [](const PromptText& prompt) {
    return !prompt.conversation.empty();
  };
  if (std::ranges::any_of(prompts, is_conversation)) {
    settings["chat_template"] = hash_of_chat_templates(files, job, model, text);
  }
}

bool same_model_path(const AnswerSettings& a, const AnswerSettings& b) {
  return a.value(kModel, Json()) == b.value(kModel, Json());
}

std::optional<AnswerSettings> read_settings(Files& files, const std::string& output) {
  const std::string path = settings_path(output);
  if (!files.stat(path)) return std::nullopt;
  AnswerSettings settings = parse_ordered_json(files.read_text(path), path);
  if (!settings.is_object()) fail("{}: expected a JSON object", path);
  return settings;
}

void refuse_others(const std::string& output, const AnswerSettings& before,
                   const AnswerSettings& now, std::span<const PromptText> prompts) {
  const auto differs = [&](const std::string& name) {
    return before.contains(name) && now.contains(name) && before[name] != now[name];
  };
  std::vector<std::string> others;
  for (const auto& [name, what] : kContents) {
    if (differs(name)) others.emplace_back(what);
  }
  if (!others.empty() && differs(kModel)) {
    others.front() +=
        fmt::format(" (model was {} and is {})", shown(before[kModel]), shown(now[kModel]));
  }
  for (const std::string_view key : kAnswerKeys) {
    const std::string name(key);
    if (differs(name)) {
      others.push_back(
          fmt::format("{} was {} and is {}", name, shown(before[name]), shown(now[name])));
    }
  }
  // What the job says is in what each prompt says, too.
  const Json& count = before.value(kPrompts, Json());
  if (others.empty() && count.is_number_unsigned() &&
      count.get<std::uint64_t>() <= prompts.size() &&
      before.value(kOwn, Json()) != own_settings(prompts.first(count.get<std::size_t>()))) {
    others.emplace_back("settings or tools that single prompts have are others");
  }
  if (others.empty()) return;
  fail(
      "{}: its results are of other settings: {}; set them as they were, name another "
      "generate.output, or remove {} to go on all the same",
      output, fmt::join(others, ", "), settings_path(output));
}

std::string describe_unknown_settings(const std::string& output) {
  return fmt::format(
      "{}: no {} says what settings its results are of; this run goes on from them with its own",
      output, settings_path(output));
}

void write_settings(const std::string& output, const AnswerSettings& settings) {
  const std::string path = settings_path(output), text = settings.dump(2) + "\n";
  std::ostringstream old;
  old << std::ifstream(path, std::ios::binary).rdbuf();
  if (old.str() == text) return;
  OutputFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace initrt
