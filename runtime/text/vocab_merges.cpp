// The classes and their defaults are those of transformers (models/*/tokenization_*.py).
#include "runtime/text/vocab_merges.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string_view>
#include <vector>

#include "runtime/text/config_tokens.h"
#include "runtime/text/gguf_kinds.h"
#include "runtime/text/json_node.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

/// What a class of tokenizers does, and which special tokens it has where the files name none ("":
/// none either), in the order of kSpecialRoles.
struct TokenizerClass {
  std::string_view kind;  ///< as gguf_kinds.h names it
  bool between_cls_and_sep = false;
  std::array<std::string_view, kSpecialRoles.size()> tokens;
};

constexpr std::string_view kEnd = "<|endoftext|>";
constexpr TokenizerClass kGpt2 = {"gpt-2", false, {kEnd, kEnd, kEnd, "", "", "", ""}};
constexpr TokenizerClass kGptNeoX = {"olmo", false, {kEnd, kEnd, kEnd, "", "<|padding|>", "", ""}};
constexpr TokenizerClass kQwen2 = {"qwen2", false, {"", kEnd, kEnd, "", kEnd, "", ""}};
constexpr TokenizerClass kQwen35 = {"qwen35", false, {"", kEnd, kEnd, "", kEnd, "", ""}};
constexpr TokenizerClass kRoberta = {
    "gpt-2", true, {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"}};

struct NamedClass {
  std::string_view name;
  const TokenizerClass* is;
};

/// By tokenizer_class, without the "Fast" that may end it.
constexpr NamedClass kClasses[] = {
    {"GPT2Tokenizer", &kGpt2},       {"CodeGenTokenizer", &kGpt2},
    {"GPTNeoXTokenizer", &kGptNeoX}, {"Qwen2Tokenizer", &kQwen2},
    {"Qwen3_5Tokenizer", &kQwen35},  {"RobertaTokenizer", &kRoberta},
    {"BartTokenizer", &kRoberta},    {"LongformerTokenizer", &kRoberta},
};

/// By what model_type begins with; the first that fits.
constexpr NamedClass kModels[] = {
    {"qwen3_5", &kQwen35}, {"qwen", &kQwen2},      {"gpt_neox", &kGptNeoX},
    {"olmo", &kGptNeoX},   {"roberta", &kRoberta}, {"bart", &kRoberta},
    {"", &kGpt2},
};

const TokenizerClass& class_of(const VocabAndMerges& files, const JsonNode& config) {
  const std::optional<JsonNode> named = config.find("tokenizer_class");
  std::string_view name = named ? std::string_view(named->string()) : "";
  if (name.ends_with("Fast")) name.remove_suffix(4);
  for (const NamedClass& known : kClasses) {
    if (known.name == name) return *known.is;
  }
  if (!name.empty() && name != "PreTrainedTokenizer" && name != "TokenizersBackend") {
    std::string names;
    for (const NamedClass& known : kClasses)
      fmt::format_to(std::back_inserter(names), " {}", known.name);
    named->expected("one of" + names +
                    ", which is what vocab.json and merges.txt are read as; "
                    "a tokenizer.json would need none");
  }
  return *std::find_if(std::begin(kModels), std::end(kModels), [&](const NamedClass& model) {
            return files.model_type.starts_with(model.name);
          })->is;
}

/// The merges in the form of a tokenizer.json. The first line may name the version.
json merges_of(std::string_view text) {
  json merges = json::array();
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    if (std::count(line.begin(), line.end(), ' ') != 1) {
      fail("merges.txt: line {}: {} is not two tokens with one space between", number,
           in_quotes(line));
    }
    merges.push_back(line);
  }
  return merges;
}

/// The added tokens of all files, by their text.
class AddedTokens {
 public:
  AddedTokens(const VocabAndMerges& files, const JsonNode& config, const TokenizerClass& kind)
      : vocabulary_(files.vocabulary),
        config_(config),
        special_(files.special, "special_tokens_map.json"),
        tokens_(tokens_of_config(config)) {
    const JsonNode added(files.added, "added_tokens.json");
    for (const auto& [content, id] : files.added.items()) {
      (void)added.at(content).token_id();
      tokens_.try_emplace(content, added_token_json(id, content, false, true));
    }
    for (std::size_t role = 0; role < kSpecialRoles.size(); ++role) {
      for (const JsonNode* file : {&config_, &special_}) {
        if (named_[role].empty()) named_[role] = take_special(file->find(kSpecialRoles[role]));
      }
      if (named_[role].empty()) named_[role] = kind.tokens[role];
      add_special(named_[role]);
    }
    for (const JsonNode* file : {&config_, &special_}) {
      for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
        take_all_special(file->find(key));
      }
    }
  }

  /// The special token of this role, "" where there is none.
  [[nodiscard]] const std::string& named(std::string_view role) const {
    const auto* place = std::find(kSpecialRoles.begin(), kSpecialRoles.end(), role);
    return named_[static_cast<std::size_t>(place - kSpecialRoles.begin())];
  }
  /// Its id. @throws Error where no file gives it one
  [[nodiscard]] json id_of(std::string_view role) const {
    const std::string& token = named(role);
    if (const auto found = tokens_.find(token); found != tokens_.end()) return found->second["id"];
    fail("tokenizer_config.json: {} is {}, which has no id in vocab.json or elsewhere", role,
         in_quotes(token));
  }

  [[nodiscard]] json list() const {
    json all = json::array();
    for (const auto& [content, token] : tokens_) all.push_back(token);
    return all;
  }

 private:
  /// Adds the token that a role's member names; returns its text.
  std::string take_special(const std::optional<JsonNode>& member) {
    if (!member) return "";
    const bool object = member->value().is_object();
    if (!object && !member->value().is_string()) return "";
    std::string content = (object ? member->at("content") : *member).string();
    const bool is_new = !tokens_.contains(content);
    add_special(content);
    const auto found = tokens_.find(content);
    if (object && is_new && found != tokens_.end()) take_flags(*member, found->second);
    return content;
  }

  void take_all_special(const std::optional<JsonNode>& member) {
    if (!member) return;
    if (member->value().is_object()) {
      for (const auto& [name, value] : member->value().items()) take_special(member->find(name));
    } else {
      for (std::size_t i = 0; i < member->size(); ++i) take_special(member->item(i));
    }
  }

  void add_special(const std::string& content) {
    if (content.empty()) return;
    if (const auto found = tokens_.find(content); found != tokens_.end()) {
      found->second["special"] = true;
    } else if (const auto known = vocabulary_.find(content); known != vocabulary_.end()) {
      tokens_.emplace(content, added_token_json(*known, content, true, false));
    }
  }

  const json& vocabulary_;
  const JsonNode config_, special_;
  std::map<std::string, json> tokens_;
  std::array<std::string, kSpecialRoles.size()> named_;
};

/// What is put around a text.
json post_processor(const JsonNode& config, const AddedTokens& tokens, const TokenizerClass& kind) {
  const auto pair = [&](const char* role) { return json{tokens.named(role), tokens.id_of(role)}; };
  if (kind.between_cls_and_sep) {
    return {{"type", "RobertaProcessing"},
            {"sep", pair("sep_token")},
            {"cls", pair("cls_token")},
            {"trim_offsets", true},
            {"add_prefix_space", false}};
  }
  json single = json::array({{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}});
  json special = json::object();
  const auto add = [&](const char* flag, const char* role, bool before) {
    const std::string& token = tokens.named(role);
    if (token.empty() || !config.flag(flag, false)) return;
    special[token] = {{"id", token}, {"ids", {tokens.id_of(role)}}, {"tokens", {token}}};
    single.insert(before ? single.begin() : single.end(),
                  json{{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
  };
  add("add_bos_token", "bos_token", true);
  add("add_eos_token", "eos_token", false);
  if (special.empty()) return nullptr;
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", json::array({{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                                {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}})},
          {"special_tokens", special}};
}

}  // namespace

VocabTokenizer tokenizer_json_from_vocab(const VocabAndMerges& files) {
  const JsonNode config(files.config, "tokenizer_config.json");
  const TokenizerClass& kind = class_of(files, config);
  const AddedTokens tokens(files, config, kind);
  const GgufKind cut = byte_level_kind(kind.kind, config.flag("add_prefix_space", false));
  VocabTokenizer made;
  made.json = {{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", tokens.list()},
               {"normalizer", cut.normalizer},
               {"pre_tokenizer", cut.pre_tokenizer},
               {"post_processor", post_processor(config, tokens, kind)},
               {"decoder", byte_level_decoder_json()},
               {"model",
                {{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", nullptr},
                 {"continuing_subword_prefix", ""},
                 {"end_of_word_suffix", ""},
                 {"fuse_unk", false},
                 {"byte_fallback", false},
                 {"ignore_merges", false},
                 {"vocab", files.vocabulary},
                 {"merges", merges_of(files.merges)}}}};
  if (const std::string& end = tokens.named("eos_token"); !end.empty()) made.end_token = end;
  return made;
}

std::optional<std::string> special_token_text(const json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return {};
  const json& text = found->is_object() ? found->value("content", json()) : *found;
  if (!text.is_string()) return {};
  return text.get<std::string>();
}

}  // namespace initrt
