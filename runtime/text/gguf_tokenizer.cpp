// GGUF's tokenizer metadata as a tokenizer.json. The keys are those of the GGUF specification.
#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/gguf_kinds.h"
#include "runtime/text/gguf_merges.h"
#include "runtime/text/json_node.h"
#include "runtime/text/tokenizer.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

constexpr std::string_view kSpace = "\u2581";

/// What a model of `tokenizer.ggml.model` does where the metadata does not say.
struct Defaults {
  bool add_bos = false;
  std::optional<TokenId> bos = {}, eos = {};
  bool always_bos = false;  ///< whatever it says
};

/// Whether the whitespace behind a token goes with it. GGUF files do not say; llama.cpp knows of
/// this one model.
bool strips_right(const JsonNode& metadata, std::string_view token) {
  const std::optional<JsonNode> name = metadata.find("general.name");
  if (!name || !name->value().is_string()) return false;
  std::string lower = name->string();
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool is_phi3 =
      lower.find("phi-3") != std::string::npos || lower.find("phi3") != std::string::npos;
  return is_phi3 && token != "<unk>" && token != "<s>" && token != "<|endoftext|>";
}

json added_tokens(const JsonNode& metadata, const GgufTokens& tokens) {
  json added = json::array();
  for (std::size_t id = 0; id < tokens.texts.size(); ++id) {
    const std::string& token = *tokens.texts[id];
    const GgufTokenType type = tokens.types[id];
    const bool special = type == GgufTokenType::Control || type == GgufTokenType::Unknown;
    if ((!special && type != GgufTokenType::UserDefined) || token.empty()) continue;
    added.push_back({{"id", id},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", strips_right(metadata, token)},
                     {"normalized", false},
                     {"special", special}});
  }
  return added;
}

/// The id that this key holds.
TokenId id_at(const JsonNode& metadata, std::string_view key, std::optional<TokenId> fallback,
              const GgufTokens& tokens) {
  const std::optional<JsonNode> id = metadata.find(key);
  const TokenId value = id || !fallback ? metadata.at(key).token_id() : *fallback;
  if (static_cast<std::size_t>(value) >= tokens.texts.size()) {
    fail("{}{} must be an id below {}, the number of tokens, but is {}", metadata.path(), key,
         tokens.texts.size(), value);
  }
  return value;
}

/// A template with the BOS and EOS that the metadata asks for, or null.
json post_processor(const JsonNode& metadata, const Defaults& defaults, const GgufTokens& tokens) {
  const bool bos =
      defaults.always_bos || metadata.flag("tokenizer.ggml.add_bos_token", defaults.add_bos);
  const bool eos = metadata.flag("tokenizer.ggml.add_eos_token", false);
  if (!bos && !eos) return nullptr;
  json special = json::object();
  const auto piece = [&](std::string_view key, std::optional<TokenId> fallback, int type) -> json {
    const TokenId id = id_at(metadata, key, fallback, tokens);
    const std::string& token = *tokens.texts[static_cast<std::size_t>(id)];
    special[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
    return {{"SpecialToken", {{"id", token}, {"type_id", type}}}};
  };
  json single = json::array();
  json pair = json::array();
  for (int type = 0; type < 2; ++type) {
    json text = json::array();
    if (bos) text.push_back(piece("tokenizer.ggml.bos_token_id", defaults.bos, type));
    const char* sequence = type == 0 ? "A" : "B";
    text.push_back({{"Sequence", {{"id", sequence}, {"type_id", type}}}});
    if (eos) text.push_back(piece("tokenizer.ggml.eos_token_id", defaults.eos, type));
    if (type == 0) single = text;
    pair.insert(pair.end(), text.begin(), text.end());
  }
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

json replace(json pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", std::move(pattern)}, {"content", content}};
}

json sequence(const char* member, json parts) {
  return {{"type", "Sequence"}, {member, std::move(parts)}};
}

json bpe(const json& vocab, json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", vocab},
          {"merges", std::move(merges)}};
}

/// Byte-level BPE. The unknown token of the metadata is the embedding's, not the BPE model's: the
/// models' own tokenizer.json have none, and drop a byte that the vocabulary lacks.
json byte_level_parts(const JsonNode& metadata, const GgufTokens& tokens) {
  const GgufKind kind = gguf_kind(metadata);
  json model = bpe(tokens.vocabulary, listed_merges(metadata));
  model["ignore_merges"] = kind.ignore_merges;
  return {{"normalizer", kind.normalizer},
          {"pre_tokenizer", kind.pre_tokenizer},
          {"post_processor", post_processor(metadata, {kind.add_bos, {}, {}}, tokens)},
          {"decoder",
           {{"type", "ByteLevel"},
            {"add_prefix_space", true},
            {"trim_offsets", true},
            {"use_regex", true}}},
          {"model", model}};
}

json decoders_of_spaces() {
  return json::array(
      {replace({{"String", kSpace}}, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
}

/// BPE over characters, in the bytes of those that it lacks.
json character_bpe(const JsonNode& metadata, const GgufTokens& tokens, json merges) {
  json model = bpe(tokens.vocabulary, std::move(merges));
  model["fuse_unk"] = true;
  model["byte_fallback"] = true;
  const auto unknown =
      static_cast<std::size_t>(id_at(metadata, "tokenizer.ggml.unknown_token_id", 0, tokens));
  if (tokens.types[unknown] == GgufTokenType::Unknown) model["unk_token"] = *tokens.texts[unknown];
  return model;
}

/// Gemma 4's, in the form of its own tokenizer.json: SentencePiece's spaces, and merges in a list.
/// The first files say that there is no BOS, which llama.cpp does not believe either (its pull
/// request 21500).
json gemma4_parts(const JsonNode& metadata, const GgufTokens& tokens) {
  return {{"normalizer", replace({{"String", " "}}, kSpace)},
          {"pre_tokenizer", nullptr},
          {"post_processor", post_processor(metadata, {.always_bos = true}, tokens)},
          {"decoder", sequence("decoders", decoders_of_spaces())},
          {"model", character_bpe(metadata, tokens, listed_merges(metadata))}};
}

/// A SentencePiece vocabulary, in the form of Llama 2's own tokenizer.json.
json sentencepiece_parts(const JsonNode& metadata, const GgufTokens& tokens) {
  json normalizers = json::array();
  if (metadata.flag("tokenizer.ggml.remove_extra_whitespaces", false)) {
    normalizers.push_back(replace({{"Regex", R"((?<![\s\S]) +| +(?![\s\S]))"}}, ""));
    normalizers.push_back(replace({{"Regex", " +"}}, " "));
  }
  json decoders = decoders_of_spaces();
  if (metadata.flag("tokenizer.ggml.add_space_prefix", true)) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  normalizers.push_back(replace({{"String", " "}}, kSpace));
  return {{"normalizer", sequence("normalizers", std::move(normalizers))},
          {"pre_tokenizer", nullptr},
          {"post_processor", post_processor(metadata, {true, 1, 2}, tokens)},
          {"decoder", sequence("decoders", std::move(decoders))},
          {"model", character_bpe(metadata, tokens, merges_by_score(metadata, tokens))}};
}

}  // namespace

json tokenizer_json_from_gguf(const json& gguf_metadata) {
  const JsonNode metadata(gguf_metadata, "GGUF metadata");
  const JsonNode model = metadata.at("tokenizer.ggml.model");
  const auto parts = model.string() == "llama"    ? sentencepiece_parts
                     : model.string() == "gpt2"   ? byte_level_parts
                     : model.string() == "gemma4" ? gemma4_parts
                                                  : nullptr;
  if (parts == nullptr) {
    model.expected("a tokenizer model known here (\"gpt2\", \"llama\", \"gemma4\")");
  }
  const GgufTokens tokens = gguf_tokens(metadata);
  json tokenizer = parts(metadata, tokens);
  tokenizer.update({{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", added_tokens(metadata, tokens)}});
  return tokenizer;
}

}  // namespace initrt
