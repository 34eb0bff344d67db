#include "runtime/start/chat_template.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "runtime/start/chat_sources.h"
#include "runtime/start/tokenizer_files.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The job's date, as 2025-01-31 or 2025-01-31 13:05.
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

// The templates of a job, made as conversations ask for them.
class ChatTemplates {
 public:
  ChatTemplates(Files& files, const OpenModel& model, const Job& job, const OpenText& text) {
    const bool in_metadata = text.file.empty();
    owner_ = in_metadata ? job.model : text.file;
    sources_ = in_metadata ? chat_sources_in_metadata(model.catalog.metadata, job.model)
                           : chat_sources_beside(files, text.file);
    options_.special = in_metadata ? special_texts_in_metadata(model.catalog.metadata)
                                   : special_texts_beside(files, text.file);
    options_.special.merge(SpecialTexts(text.special));
    options_.arguments = job.generate.chat_template_kwargs;
    options_.now = now_of(job.generate.date);
    const std::string& wanted = job.generate.chat_template;
    if (wanted.empty()) return;
    name_ = name_of(wanted);
    if (sources_.contains(name_)) return;
    if (!is_file(files, wanted)) {
      std::string names;
      for (const auto& [name, source] : sources_) names += (names.empty() ? "" : ", ") + name;
      fail("generate.chat_template: {} is neither a file nor one of the model's templates ({})",
           quote(wanted), names.empty() ? "it has none" : names);
    }
    sources_[name_] = {wanted, files.read_text(wanted, jinja::kMaxSourceBytes)};
  }

  [[nodiscard]] std::string render(const Conversation& conversation) {
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

  /// What each of those that were used writes after an answer.
  [[nodiscard]] std::vector<std::string> after_answers() const {
    std::vector<std::string> texts;
    texts.reserve(made_.size());
    for (const auto& [name, one] : made_) texts.push_back(one.made.after_answer());
    return texts;
  }

 private:
  struct Made {
    const ChatSource* source;
    ChatTemplate made;
  };

  const Made& of(bool with_tools) {
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

  [[noreturn]] void no_template() const {
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

  std::string owner_;  // of the tokenizer, for errors
  ChatSources sources_;
  ChatOptions options_;
  std::string name_;  // the job's; "" where it leaves that to the conversation
  std::map<std::string, Made> made_;
};

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

void apply_chat_template(Files& files, const OpenModel& model, const Job& job, OpenText& text,
                         std::vector<PromptText>& prompts) {
  const bool any = std::any_of(prompts.begin(), prompts.end(), [](const PromptText& prompt) {
    return !prompt.conversation.empty() && !prompt.done;
  });
  if (!any) return;
  ChatTemplates templates(files, model, job, text);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    PromptText& prompt = prompts[i];
    if (prompt.conversation.empty() || prompt.done) continue;
    try {
      prompt.text = templates.render(prompt.conversation);
    } catch (const Error& error) {
      refuse_prompt(prompt, fmt::format("prompt {}: {}", i, error.what()));
    }
  }
  for (const std::string& after : templates.after_answers()) {
    const auto id = written_out(*text.tokenizer, after);
    auto& end = text.end_tokens;
    if (id && std::find(end.begin(), end.end(), *id) == end.end()) end.push_back(*id);
  }
}

}  // namespace initrt
