// GGUF's tokenizer metadata as a tokenizer.json. The keys are those of the GGUF specification;
// what a `tokenizer.ggml.pre` kind stands for is the tokenizer.json of the model it is named
// after (SmolLM2, GPT-2, Llama 3, Qwen 2).
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/json_node.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// One kind of `tokenizer.ggml.pre`.
struct Kind {
  std::string_view name;
  std::string_view pattern;        ///< of a Split; empty: the pattern of ByteLevel itself
  bool individual_digits = false;  ///< each digit is a word
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;  ///< where the metadata does not say
};

constexpr std::array<Kind, 5> kKinds{{
    {.name = "smollm", .pattern = "", .individual_digits = true},
    {.name = "gpt-2", .pattern = ""},
    {.name = "default", .pattern = ""},
    {.name = "llama-bpe", .pattern = kLlama3Pattern, .ignore_merges = true, .add_bos = true},
    {.name = "qwen2", .pattern = kQwen2Pattern, .nfc = true},
}};

/// Values of `tokenizer.ggml.token_type`.
enum TokenType : int { kUnknown = 2, kControl = 3, kUserDefined = 4 };

json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

const Kind& kind_of(const JsonNode& metadata) {
  const std::optional<JsonNode> pre = metadata.find("tokenizer.ggml.pre");
  const std::string_view name = pre ? std::string_view(pre->string()) : "default";
  const auto* kind =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.name == name; });
  if (kind != kKinds.end()) return *kind;
  std::string names;
  for (const Kind& known : kKinds) fmt::format_to(std::back_inserter(names), " {}", known.name);
  pre->expected("a pre-tokenizer kind known here (" + names.substr(1) + ")");
}

json pre_tokenizer(const Kind& kind, bool add_prefix_space) {
  json steps = json::array();
  if (kind.individual_digits) {
    steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  }
  if (!kind.pattern.empty()) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", kind.pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back(byte_level(add_prefix_space, kind.pattern.empty()));
  if (steps.size() == 1) return steps[0];
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

/// Fills `vocab` and `added_tokens`.
void read_tokens(const JsonNode& metadata, json& vocab, json& added) {
  const JsonNode tokens = metadata.at("tokenizer.ggml.tokens");
  const std::size_t count = tokens.size();
  if (count >= kTokenIdLimit) fail("{}: {} tokens are too many", tokens.path(), count);
  const std::optional<JsonNode> types = metadata.find("tokenizer.ggml.token_type");
  if (types && types->size() != count) {
    fail("{} has {} entries, but tokenizer.ggml.tokens has {}", types->path(), types->size(),
         count);
  }
  for (std::size_t id = 0; id < count; ++id) {
    const json& value = tokens.value()[id];
    if (!value.is_string()) tokens.item(id).expected("a string");
    const auto& token = value.get_ref<const std::string&>();
    if (to_valid_utf8(token) != token) tokens.item(id).expected("UTF-8, as JSON needs");
    const auto [entry, is_new] = vocab.emplace(token, id);
    if (!is_new) {
      fail("{}[{}]: {} is also the token of id {}", tokens.path(), id, in_quotes(token),
           entry->dump());
    }
    if (!types) continue;
    const json& type = types->value()[id];
    if (!type.is_number_integer()) types->item(id).expected("an integer");
    const bool special = type == kControl || type == kUnknown;
    if ((!special && type != kUserDefined) || token.empty()) continue;
    added.push_back({{"id", id},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
}

json merges(const JsonNode& metadata) {
  const JsonNode all = metadata.at("tokenizer.ggml.merges");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const json& merge = all.value()[i];
    if (!merge.is_string()) all.item(i).expected("a string");
    const auto& text = merge.get_ref<const std::string&>();
    if (std::count(text.begin(), text.end(), ' ') != 1) {
      all.item(i).expected("two tokens with one space between");
    }
  }
  return all.value();
}

/// The token whose id this key holds.
const std::string& token_at(const JsonNode& metadata, std::string_view key) {
  const JsonNode id = metadata.at(key);
  const JsonNode tokens = metadata.at("tokenizer.ggml.tokens");
  if (static_cast<std::size_t>(id.token_id()) >= tokens.size()) {
    id.expected(fmt::format("an id below {}, the number of tokens", tokens.size()));
  }
  return tokens.item(static_cast<std::size_t>(id.token_id())).string();
}

/// A template with the BOS and EOS that the metadata asks for, or null.
json post_processor(const JsonNode& metadata, const Kind& kind) {
  const bool bos = metadata.flag("tokenizer.ggml.add_bos_token", kind.add_bos);
  const bool eos = metadata.flag("tokenizer.ggml.add_eos_token", false);
  if (!bos && !eos) return nullptr;
  json special = json::object();
  const auto piece = [&](std::string_view key, int type) -> json {
    const std::string& token = token_at(metadata, key);
    special[token] = {{"id", token}, {"ids", {metadata.at(key).token_id()}}, {"tokens", {token}}};
    return {{"SpecialToken", {{"id", token}, {"type_id", type}}}};
  };
  json single = json::array();
  json pair = json::array();
  for (int type = 0; type < 2; ++type) {
    json text = json::array();
    if (bos) text.push_back(piece("tokenizer.ggml.bos_token_id", type));
    const char* sequence = type == 0 ? "A" : "B";
    text.push_back({{"Sequence", {{"id", sequence}, {"type_id", type}}}});
    if (eos) text.push_back(piece("tokenizer.ggml.eos_token_id", type));
    if (type == 0) single = text;
    pair.insert(pair.end(), text.begin(), text.end());
  }
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

}  // namespace

json tokenizer_json_from_gguf(const json& gguf_metadata) {
  const JsonNode metadata(gguf_metadata, "GGUF metadata");
  const JsonNode model = metadata.at("tokenizer.ggml.model");
  if (model.string() != "gpt2") {
    model.expected("\"gpt2\" (byte-level BPE), the one tokenizer model known here");
  }
  const Kind& kind = kind_of(metadata);
  json vocab = json::object();
  json added = json::array();
  read_tokens(metadata, vocab, added);
  // The unknown token of the metadata is the embedding's, not the BPE model's: the models' own
  // tokenizer.json have none, and drop a byte that the vocabulary lacks.
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", kind.nfc ? json{{"type", "NFC"}} : json()},
          {"pre_tokenizer",
           pre_tokenizer(kind, metadata.flag("tokenizer.ggml.add_space_prefix", false))},
          {"post_processor", post_processor(metadata, kind)},
          {"decoder", byte_level(true, true)},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", kind.ignore_merges},
            {"vocab", vocab},
            {"merges", merges(metadata)}}}};
}

}  // namespace initrt
