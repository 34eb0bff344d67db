#include "runtime/start/chat_template.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "runtime/start/tokenizer_files.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The date, as 2025-01-31 or 2025-01-31 13:05.
std::optional<std::tm> now_of(const std::string& date) {
  if (date.empty()) return std::nullopt;
  std::tm given{};
  int end = 0, whole = 0;
  std::sscanf(date.c_str(), "%4d-%2d-%2d%n %2d:%2d%n", &given.tm_year, &given.tm_mon,
              &given.tm_mday, &end, &given.tm_hour, &given.tm_min, &whole);
  given.tm_year -= 1900;
  given.tm_mon -= 1;
  std::tm normal = given;
  const std::time_t seconds = timegm(&normal);  // fills in the days of week and year
  const auto size = static_cast<int>(date.size());
  const bool same = normal.tm_mday == given.tm_mday && normal.tm_mon == given.tm_mon &&
                    normal.tm_hour == given.tm_hour && normal.tm_min == given.tm_min;
  if ((end != size && whole != size) || !same || seconds == -1) {
    fail("generate.date is {}, expected a day such as 2025-01-31 or 2025-01-31 13:05", quote(date));
  }
  return normal;
}

// The token that a text begins with, where it is one that is written out: a special token, or one
// that looks so.
std::optional<TokenId> written_out(const Tokenizer& tokenizer, std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \n\r\t"), text.size()));
  const std::vector<TokenId> ids = tokenizer.encode_bare(text);
  if (ids.empty()) return std::nullopt;
  const std::string bytes = tokenizer.token_bytes(ids.front());
  const bool tag =
      bytes.size() > 3 && text.starts_with(bytes) && bytes.front() == '<' && bytes.back() == '>';
  return bytes.empty() || tag ? std::optional(ids.front()) : std::nullopt;
}

}  // namespace

ChatTemplates::ChatTemplates(Files& files, const ModelOptions& options, const OpenModel& model,
                             const OpenText& text, const ChatTemplateOptions& wanted) {
  const bool in_metadata = text.file.empty();
  owner_ = in_metadata ? options.path : text.file;
  sources_ = in_metadata ? chat_sources_in_metadata(model.catalog.metadata, owner_)
                         : chat_sources_beside(files, text.file);
  options_.special = in_metadata ? special_texts_in_metadata(model.catalog.metadata)
                                 : special_texts_beside(files, text.file);
  options_.special.merge(SpecialTexts(text.special));
  options_.arguments = wanted.arguments;
  options_.now = now_of(wanted.date);
  if (wanted.name.empty()) return;
  name_ = name_of(wanted.name);
  if (sources_.contains(name_)) return;
  if (!is_file(files, wanted.name)) {
    std::string names;
    for (const auto& [name, source] : sources_) names += (names.empty() ? "" : ", ") + name;
    fail("generate.chat_template: {} is neither a file nor one of the model's templates ({})",
         quote(wanted.name), names.empty() ? "it has none" : names);
  }
  sources_[name_] = {wanted.name, files.read_text(wanted.name, jinja::kMaxSourceBytes)};
}

std::string ChatTemplates::render(const Conversation& conversation) {
  const auto& [source, made] = of(!conversation.tools.is_null());
  try {
    return made.render(conversation);
  } catch (const Error& error) {
    const std::string_view what = error.what();
    const bool clock = what.find("'strftime_now' is undefined") != std::string_view::npos;
    fail("{}: chat template: {}{}", source->where, what,
         clock ? ": it asks for the time, which generate.date gives" : "");
  }
}

std::vector<TokenId> ChatTemplates::end_tokens(const Tokenizer& tokenizer) const {
  std::vector<TokenId> tokens;
  for (const auto& [name, one] : made_) {
    if (const auto id = written_out(tokenizer, one.made.after_answer())) tokens.push_back(*id);
  }
  return tokens;
}

const ChatTemplates::Made& ChatTemplates::of(bool with_tools) {
  const std::string& name = !name_.empty()                                ? name_
                            : with_tools && sources_.contains("tool_use") ? "tool_use"
                                                                          : "default";
  if (const auto known = made_.find(name); known != made_.end()) return known->second;
  const auto source = sources_.find(name);
  if (source == sources_.end()) no_template();
  try {
    Made made{&source->second, ChatTemplate(source->second.source, options_)};
    return made_.emplace(name, std::move(made)).first->second;
  } catch (const Error& error) {
    fail("{}: chat template: {}", source->second.where, error.what());
  }
}

void ChatTemplates::no_template() const {
  if (!sources_.empty()) {
    fail(
        "{}: none of the model's chat templates is named \"default\": choose one by "
        "generate.chat_template",
        sources_.begin()->second.where);
  }
  fail(
      "{}: no chat template: neither chat_template.jinja nor a \"chat_template\" in "
      "tokenizer_config.json beside it, nor tokenizer.chat_template in a GGUF file; name a file "
      "with generate.chat_template",
      owner_);
}

}  // namespace initrt
