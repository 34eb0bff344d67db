#include "runtime/export/convert_texts.h"

#include <algorithm>
#include <array>

#include "runtime/start/tokenizer_files.h"
#include "runtime/text/tokenizer.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// What adds to the files that hold a tokenizer whole (vocab.json with merges.txt).
constexpr std::array kBesideTokenizers = {
    "merges.txt",        "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja",   "chat_template.json"};

std::string_view torch_name(DType dtype) {
  switch (dtype) {
    case DType::BF16:
      return "bfloat16";
    case DType::F16:
      return "float16";
    default:
      return "float32";
  }
}

// What Hugging Face's loaders want beside a tokenizer.json: which tokens are the special ones.
Json tokenizer_config(const nlohmann::json& metadata, const OpenModel& model) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"model_max_length", model.graph.context},
                 {"clean_up_tokenization_spaces", false}};
  const auto tokens = metadata.find("tokenizer.ggml.tokens");
  for (const auto& [key, from] : {std::pair{"bos_token", "tokenizer.ggml.bos_token_id"},
                                  std::pair{"eos_token", "tokenizer.ggml.eos_token_id"},
                                  std::pair{"unk_token", "tokenizer.ggml.unknown_token_id"},
                                  std::pair{"pad_token", "tokenizer.ggml.padding_token_id"}}) {
    const auto id = metadata.find(from);
    if (tokens == metadata.end() || id == metadata.end() || !id->is_number_unsigned()) continue;
    const auto index = id->get<std::size_t>();
    if (index < tokens->size()) config[key] = (*tokens)[index];
  }
  if (const auto chat = metadata.find("tokenizer.chat_template"); chat != metadata.end()) {
    config["chat_template"] = *chat;
  }
  return config;
}

TextFile json_file(const char* name, const Json& content) {
  return {name, json_text(content) + "\n"};
}

// A tokenizer's files in a directory, as they are.
void take_over(Files& files, const std::string& directory, const Notices& notices,
               std::vector<TextFile>& texts) {
  const auto take = [&](const char* name) {
    const std::string path = join_path(directory, name);
    if (!is_file(files, path)) return false;
    texts.push_back({name, files.read_text(path, kMaxTokenizerBytes)});
    return true;
  };
  bool any = false;
  for (const char* name : kTokenizerNames) any = take(name) || any;
  if (!any) {
    notices.warn(fmt::format("{}: no {}, so that none is written (--tokenizer names one)",
                             directory.empty() ? "." : directory,
                             fmt::join(kTokenizerNames, ", ")));
    return;
  }
  for (const char* name : kBesideTokenizers) (void)take(name);
}

void add_tokenizer(Files& files, const ConvertOptions& options, const OpenModel& model,
                   std::vector<TextFile>& texts) {
  const nlohmann::json& metadata = model.catalog.metadata;
  const std::string name(name_of(options.model.tokenizer));
  const bool needs_others = name == "vocab.json" || name == "vocab.txt" || name == "tiktoken.model";
  if (needs_others) {
    take_over(files, directory_of(options.model.tokenizer), options.notices, texts);
  } else if (!options.model.tokenizer.empty() && !is_directory(files, options.model.tokenizer)) {
    const bool known =
        std::find(kTokenizerNames.begin(), kTokenizerNames.end(), name) != kTokenizerNames.end();
    const std::string usual = name.ends_with(".model") ? "tokenizer.model" : "tokenizer.json";
    texts.push_back(
        {known ? name : usual, files.read_text(options.model.tokenizer, kMaxTokenizerBytes)});
  } else if (!options.model.tokenizer.empty()) {
    take_over(files, options.model.tokenizer, options.notices, texts);
  } else if (!metadata.contains("tokenizer.ggml.tokens")) {
    const bool inside = is_directory(files, options.model.path);
    take_over(files, inside ? options.model.path : directory_of(options.model.path),
              options.notices, texts);
  } else {
    try {
      texts.push_back({"tokenizer.json", tokenizer_json_from_gguf(metadata).dump() + "\n"});
      texts.push_back(json_file("tokenizer_config.json", tokenizer_config(metadata, model)));
    } catch (const Error& error) {
      options.notices.warn(fmt::format("the tokenizer is left out: {}", error.what()));
    }
  }
}

}  // namespace

std::vector<TextFile> checkpoint_texts(Files& files, const ConvertOptions& options,
                                       const OpenModel& model, const Json& index) {
  Json config = model.config;
  Json generation = Json::object();
  if (config.contains("generation_config")) {
    generation = config["generation_config"];
    config.erase("generation_config");
  } else {
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
      if (config.contains(key) && !config[key].is_null()) generation[key] = config[key];
    }
  }
  // What is written is plain, whatever the checkpoint was or was said to be.
  for (const char* key : {"quantization_config", "compression_config", "quantization"}) {
    config.erase(key);
  }
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(model.layout.dtype);
  std::vector<TextFile> texts = {json_file("model.safetensors.index.json", index),
                                 json_file("generation_config.json", generation)};
  add_tokenizer(files, options, model, texts);
  texts.push_back(json_file("config.json", config));
  return texts;
}

}  // namespace initrt
