// What llama.cpp's kinds stand for (llama-vocab.cpp): where a kind is named after a model, what
// that model's own tokenizer.json has.
#include "runtime/text/gguf_kinds.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "runtime/text/cut_patterns.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloomPattern =
    R"( ?[^(\s|[.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c}])]+)";
constexpr std::string_view kPunctuationPattern = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kThreeDigits = "[0-9][0-9][0-9]";

constexpr std::string_view kDeepseekLetters =
    R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293})"
    R"(\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-)"
    R"(\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-)"
    R"(\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-)"
    R"(\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-)"
    R"(\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d})"
    R"(\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-)"
    R"(\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-)"
    R"(\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126})"
    R"(\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149})"
    R"(\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2})"
    R"(\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-)"
    R"(\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-)"
    R"(\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2})"
    R"(\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+)";
constexpr std::string_view kDeepseekPunctuation =
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)";
constexpr std::string_view kDeepseekCjk =
    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";
constexpr std::string_view kDeepseek3Cjk =
    R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)";
constexpr std::string_view kDeepseek3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Numbers in threes from their end; possessive, since no boundary lies between digits.
constexpr std::string_view kThreesPattern = R"(\d{1,3}(?=(?:\d{3})*+\b))";
constexpr std::string_view kSeedPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Pre-tokenizers before ByteLevel, and whether that one cuts as well.
enum class Cut : std::uint8_t {
  Gpt2,    ///< ByteLevel alone
  Digits,  ///< each digit apart, then as Gpt2
  Falcon,
  Default,
  Llama3,
  Qwen2,
  Qwen35,
  Gpt4o,
  Tekken,
  Bloom,
  Viking,
  DeepseekLlm,
  DeepseekCoder,
  Deepseek3,
  Kimi,
  TinyAya,
  Seed,
};

struct Kind {
  std::string_view name;
  Cut cut = Cut::Gpt2;
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
};

constexpr std::array kKinds = {
    Kind{"default", Cut::Default},
    Kind{"gpt-2"},
    Kind{"phi-2"},
    Kind{"mpt", Cut::Gpt2, true},
    Kind{"olmo", Cut::Gpt2, true},
    Kind{"jais"},
    Kind{"trillion"},
    Kind{"exaone4"},
    Kind{"gigachat"},
    Kind{"a.x-4.0"},
    Kind{"mellum"},
    Kind{"granite-docling"},
    Kind{"smollm", Cut::Digits},
    Kind{"starcoder", Cut::Digits},
    Kind{"refact", Cut::Digits},
    Kind{"codeshell", Cut::Digits},
    Kind{"command-r", Cut::Digits, true},
    Kind{"exaone", Cut::Digits},
    Kind{"minerva-7b", Cut::Digits},
    Kind{"mellum2", Cut::Digits},
    Kind{"falcon", Cut::Falcon},
    Kind{"llama-bpe", Cut::Llama3, false, true, true},
    Kind{"llama3", Cut::Llama3, false, true, true},
    Kind{"llama-v3", Cut::Llama3, false, true, true},
    Kind{"falcon3", Cut::Llama3, false, true, true},
    Kind{"falcon-h1", Cut::Llama3, false, true, true},
    Kind{"pixtral", Cut::Llama3, false, true, true},
    Kind{"lfm2", Cut::Llama3, false, true, true},
    Kind{"dbrx", Cut::Llama3},
    Kind{"smaug-bpe", Cut::Llama3},
    Kind{"glm4", Cut::Llama3},
    Kind{"chatglm-bpe", Cut::Llama3},
    Kind{"qwen2", Cut::Qwen2, true},
    Kind{"deepseek-r1-qwen", Cut::Qwen2, true},
    Kind{"stablelm2", Cut::Qwen2},
    Kind{"megrez", Cut::Qwen2},
    Kind{"hunyuan", Cut::Qwen2},
    Kind{"grok-2", Cut::Qwen2},
    Kind{"solar-open", Cut::Qwen2},
    Kind{"qwen35", Cut::Qwen35, true},
    Kind{"gpt-4o", Cut::Gpt4o},
    Kind{"llama4", Cut::Gpt4o},
    Kind{"kanana2", Cut::Gpt4o},
    Kind{"minimax-m2", Cut::Gpt4o},
    Kind{"tekken", Cut::Tekken, false, true, true},
    Kind{"bloom", Cut::Bloom},
    Kind{"poro-chat", Cut::Bloom},
    Kind{"gpt3-finnish", Cut::Bloom},
    Kind{"viking", Cut::Viking},
    Kind{"deepseek-llm", Cut::DeepseekLlm},
    Kind{"deepseek-coder", Cut::DeepseekCoder},
    Kind{"deepseek-v3", Cut::Deepseek3},
    Kind{"hunyuan-dense", Cut::Deepseek3},
    Kind{"joyai-llm", Cut::Deepseek3},
    Kind{"kimi-k2", Cut::Kimi},
    Kind{"tiny_aya", Cut::TinyAya},
    Kind{"cohere2moe", Cut::TinyAya},
    Kind{"seed-coder", Cut::Seed},
    Kind{"bailingmoe", Cut::Qwen2},
    Kind{"bailingmoe2", Cut::Qwen2},
    Kind{"llada-moe", Cut::Qwen2},
};

json split(std::string_view pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

json digits(bool individual) { return {{"type", "Digits"}, {"individual_digits", individual}}; }

json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

json steps_of(Cut cut, bool prefix) {
  const json bytes = byte_level(prefix, false);
  const json cutting_bytes = byte_level(prefix, true);
  switch (cut) {
    case Cut::Gpt2:
      return json::array({cutting_bytes});
    case Cut::Digits:
      return json::array({digits(true), cutting_bytes});
    case Cut::Falcon:
      return json::array({{{"type", "Punctuation"}, {"behavior", "Contiguous"}},
                          cutting_bytes,
                          digits(false),
                          split(kThreeDigits)});
    case Cut::Default:
      return json::array({split(kPunctuationPattern), split(kGpt2Pattern), split("\\p{N}+"),
                          split(kThreeDigits), bytes});
    case Cut::Llama3:
      return json::array({split(kLlama3Pattern), bytes});
    case Cut::Qwen2:
      return json::array({split(kQwen2Pattern), bytes});
    case Cut::Qwen35:
      return json::array({split(kQwen35Pattern), bytes});
    case Cut::Gpt4o:
      return json::array({split(kGpt4oPattern), bytes});
    case Cut::Tekken:
      return json::array({split(kTekkenPattern), bytes});
    case Cut::Bloom:
      return json::array({split(kBloomPattern), bytes});
    case Cut::Viking:
      return json::array({split(kBloomPattern), digits(true), bytes});
    case Cut::DeepseekLlm:
      return json::array({split("[\r\n]"), split(kDeepseekLetters), split(kDeepseekPunctuation),
                          split("\\s+$"), split(kDeepseekCjk), digits(true), bytes});
    case Cut::DeepseekCoder:
      return json::array({split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"),
                          split(kDeepseekCjk), digits(true), bytes});
    case Cut::Deepseek3:
      return json::array(
          {split("\\p{N}{1,3}"), split(kDeepseek3Cjk), split(kDeepseek3Pattern), bytes});
    case Cut::Kimi:
      return json::array({split(kKimiPattern), bytes});
    case Cut::TinyAya:
      return json::array({split(kThreesPattern), split(kGpt4oPattern), bytes});
    case Cut::Seed:
      return json::array({split(kSeedPattern), bytes});
  }
  return json::array();
}

const Kind* find_kind(std::string_view name) {
  return std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.name == name; });
}

GgufKind made_of(const Kind& kind, bool prefix) {
  json steps = steps_of(kind.cut, prefix);
  GgufKind made;
  if (kind.nfc) made.normalizer = {{"type", "NFC"}};
  made.ignore_merges = kind.ignore_merges;
  made.add_bos = kind.add_bos;
  if (steps.size() == 1) {
    made.pre_tokenizer = std::move(steps[0]);
  } else {
    made.pre_tokenizer = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  }
  return made;
}

}  // namespace

GgufKind gguf_kind(const JsonNode& metadata) {
  const std::optional<JsonNode> pre = metadata.find("tokenizer.ggml.pre");
  const std::string_view name = pre ? std::string_view(pre->string()) : "default";
  const Kind* const kind = find_kind(name);
  if (kind == kKinds.end()) {
    std::string names;
    for (const Kind& known : kKinds) fmt::format_to(std::back_inserter(names), " {}", known.name);
    pre->expected("a pre-tokenizer kind known here (" + names.substr(1) +
                  "), unless \"tokenizer\" names a tokenizer.json");
  }
  return made_of(*kind, metadata.flag("tokenizer.ggml.add_space_prefix", false));
}

GgufKind byte_level_kind(std::string_view name, bool prefix) {
  return made_of(*find_kind(name), prefix);
}

}  // namespace initrt
