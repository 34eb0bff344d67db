#include "runtime/text/made_tokenizer.h"

#include "runtime/text/ranked_bpe.h"

namespace initrt {

using nlohmann::json;

json added_token_json(const json& id, const std::string& content, bool special, bool normalized) {
  return {{"id", id},        {"content", content},       {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", normalized}, {"special", special}};
}

json begin_with_json(const std::string& token, const json& id) {
  const json begin = {{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  return {{"type", "TemplateProcessing"},
          {"single", json::array({begin, text})},
          {"pair", json::array({begin, text, second})},
          {"special_tokens",
           {{token, {{"id", token}, {"ids", json::array({id})}, {"tokens", {token}}}}}}};
}

json byte_level_decoder_json() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", true},
          {"trim_offsets", true},
          {"use_regex", true}};
}

json ranked_tokenizer_json(json vocabulary, const std::string& pattern, json added_tokens,
                           json post_processor) {
  const json cut = {{"type", "Split"},
                    {"pattern", {{"Regex", pattern}}},
                    {"behavior", "Removed"},
                    {"invert", true}};
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", false}};
  return {{"version", "1.0"},
          {"added_tokens", std::move(added_tokens)},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array({cut, bytes})}}},
          {"post_processor", std::move(post_processor)},
          {"decoder", byte_level_decoder_json()},
          {"model", {{"type", kRankedBpe}, {"vocab", std::move(vocabulary)}}}};
}

}  // namespace initrt
