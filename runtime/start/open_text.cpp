#include "runtime/start/open_text.h"

#include <algorithm>
#include <optional>

#include "runtime/start/end_tokens.h"
#include "runtime/start/tokenizer_files.h"
#include "sharding/error.h"

namespace initrt {

OpenText open_text(Files& files, const ModelOptions& options, const OpenModel& model) {
  OpenText text;
  std::string end_text;
  if (options.tokenizer.empty() && model.catalog.metadata.contains("tokenizer.ggml.model")) {
    try {
      text.tokenizer = make_tokenizer(tokenizer_json_from_gguf(model.catalog.metadata));
    } catch (const Error& error) {
      fail("{}: {}", options.path, error.what());
    }
  } else {
    text.file = need_tokenizer(files, options);
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
    fail("{}: {}", options.path, error.what());
  }
  const auto add = [&](std::optional<TokenId> id) {
    const auto end = text.end_tokens.end();
    if (id && std::find(text.end_tokens.begin(), end, *id) == end) text.end_tokens.push_back(*id);
  };
  if (!end_text.empty()) add(special_token_id(files, text.file, *text.tokenizer, end_text));
  if (text.end_tokens.empty()) add(text.tokenizer->end_token());
  return text;
}

}  // namespace initrt
