#include "launch/job/prompts.h"

#include <algorithm>

#include "runtime/start/chat_template.h"
#include "runtime/start/run_shape.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Whatever the job's keys hold.
std::vector<PromptText> given_prompts(Files& files, const Job& job) {
  const Job::Prompts& several = job.generate.prompts;
  const bool many = !several.empty();
  // An empty one beside others takes back what the job's file says.
  const bool one = job.generate.prompt && !job.generate.prompt->empty();
  if (many && one) {
    fail("both generate.prompt and generate.prompts are set: which one is meant?");
  }
  if (!job.generate.messages.empty()) {
    if (!many && !one) {
      PromptText conversation = prompt_of_job(job, "");
      conversation.conversation.messages = job.generate.messages;
      return {conversation};
    }
    fail("both generate.messages and generate.{} are set: which one is meant?",
         many ? "prompts" : "prompt");
  }
  if (!many) {
    if (!job.generate.prompt) {
      fail("no prompt: set generate.prompt, generate.prompts or generate.messages");
    }
    return {prompt_of_job(job, *job.generate.prompt)};
  }
  if (several.path.empty()) {
    std::vector<PromptText> texts;
    texts.reserve(several.texts.size());
    for (const std::string& text : several.texts) texts.push_back(prompt_of_job(job, text));
    return texts;
  }
  return read_prompt_file(files, several.path, job);
}

// Why the model has nothing to go on from, or no embedding for it; "" where it has.
std::string not_its_own(const Prompt& prompt, std::uint64_t vocabulary) {
  if (prompt.tokens.empty()) {
    return fmt::format(
        "prompt {} is empty: there is nothing to go on from, since the tokenizer begins no text "
        "with a token of its own (BOS)",
        prompt.index);
  }
  for (const TokenId token : prompt.tokens) {
    if (static_cast<std::uint64_t>(token) < vocabulary) continue;
    return fmt::format(
        "prompt {}: the tokenizer gives token {}, but the model has a vocabulary of {}: do they "
        "belong together?",
        prompt.index, token, vocabulary);
  }
  return "";
}

nlohmann::ordered_json message(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

}  // namespace

std::vector<PromptText> read_prompts(Files& files, const Job& job) {
  std::vector<PromptText> prompts = given_prompts(files, job);
  bool conversations = false;
  for (PromptText& prompt : prompts) {
    if (!prompt.error.empty()) continue;
    auto& [messages, tools] = prompt.conversation;
    if (messages.empty() && job.generate.chat) messages.push_back(message("user", prompt.text));
    if (messages.empty()) continue;
    conversations = true;
    if (tools.is_null()) tools = job.generate.tools;
    if (job.generate.system.empty() || messages.front()["role"] == "system") continue;
    messages.insert(messages.begin(), message("system", job.generate.system));
  }
  const char* unused = !job.generate.system.empty()           ? "system"
                       : !job.generate.tools.is_null()        ? "tools"
                       : !job.chat_template.name.empty()      ? "chat_template"
                       : !job.chat_template.arguments.empty() ? "chat_template_kwargs"
                                                              : nullptr;
  if (unused != nullptr && !conversations) {
    fail("generate.{} is set, but no prompt is a conversation: set generate.chat (--chat)", unused);
  }
  const PromptRange range = range_of_part(job.generate.part, prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompts[i].done = i < range.first || i >= range.last;
  }
  return prompts;
}

void apply_chat_template(Files& files, const OpenModel& model, const Job& job, OpenText& text,
                         std::vector<PromptText>& prompts) {
  const bool any = std::any_of(prompts.begin(), prompts.end(), [](const PromptText& prompt) {
    return !prompt.conversation.empty() && !prompt.done;
  });
  if (!any) return;
  ChatTemplates templates(files, job.model, model, text, job.chat_template);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    PromptText& prompt = prompts[i];
    if (prompt.conversation.empty() || prompt.done) continue;
    try {
      prompt.text = templates.render(prompt.conversation);
    } catch (const Error& error) {
      refuse_prompt(prompt, fmt::format("prompt {}: {}", i, error.what()));
    }
  }
  for (const TokenId id : templates.end_tokens(*text.tokenizer)) {
    auto& end = text.end_tokens;
    if (std::find(end.begin(), end.end(), id) == end.end()) end.push_back(id);
  }
}

std::vector<Prompt> tokenize(const Tokenizer& tokenizer, std::vector<PromptText>& texts,
                             std::uint64_t vocabulary) {
  std::vector<Prompt> prompts;
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    PromptText& text = texts[i];
    if (!is_open(text)) continue;
    Prompt prompt{
        i,
        text.conversation.empty() ? tokenizer.encode(text.text) : tokenizer.encode_bare(text.text),
        static_cast<std::uint32_t>(text.max_new_tokens), text.sampler};
    if (const std::string why = not_its_own(prompt, vocabulary); why.empty()) {
      prompts.push_back(std::move(prompt));
    } else {
      refuse_prompt(text, why);
    }
  }
  return prompts;
}

void refuse_beyond_context(const Job& job, const Graph& graph, std::vector<PromptText>& texts,
                           std::vector<Prompt>& prompts) {
  std::erase_if(prompts, [&](const Prompt& prompt) {
    const std::string why = beyond_context(prompt, job.shape, graph);
    if (!why.empty()) refuse_prompt(texts[prompt.index], why);
    return !why.empty();
  });
}

}  // namespace initrt
