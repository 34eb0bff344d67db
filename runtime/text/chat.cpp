#include "runtime/text/chat.h"

#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// As transformers gives messages to a template: members that are null are not there, and an
// answer's reasoning is found by each of its names.
Json as_given(const Json& messages) {
  Json given = Json::array();
  for (const Json& message : messages) {
    Json kept = Json::object();
    for (const auto& [key, value] : message.items()) {
      if (!value.is_null()) kept[key] = value;
    }
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const auto reasoning = kept.find(name);
      if (reasoning == kept.end()) continue;
      const Json text = *reasoning;
      if (!kept.contains("thinking")) kept["thinking"] = text;
      kept["reasoning_content"] = text;
      break;
    }
    given.push_back(std::move(kept));
  }
  return given;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, ChatOptions options)
    : template_(source), options_(std::move(options)) {}

std::string ChatTemplate::render(Json messages, const Json& tools, bool asks) const {
  Json variables = Json::object();
  variables["messages"] = std::move(messages);
  variables["tools"] = tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = asks;
  for (const auto& [name, text] : options_.special) variables[name] = text;
  for (const auto& [name, value] : options_.arguments.items()) variables[name] = value;
  return template_.render(variables, options_.now);
}

std::string ChatTemplate::render(const Conversation& conversation) const {
  if (conversation.empty()) fail("the conversation has no message");
  if (conversation.messages.back().value("role", Json()) == "assistant") {
    fail("the conversation ends with an answer of the assistant: there is nothing to answer");
  }
  return render(as_given(conversation.messages), conversation.tools, true);
}

std::string ChatTemplate::after_answer() const {
  constexpr std::string_view kAnswer = "Initrt.answer.9";
  const Json messages = Json::array({{{"role", "user"}, {"content", "a"}},
                                     {{"role", "assistant"}, {"content", std::string(kAnswer)}}});
  try {
    const std::string text = render(messages, nullptr, false);
    const std::size_t at = text.rfind(kAnswer);
    return at == std::string::npos ? "" : text.substr(at + kAnswer.size());
  } catch (const Error&) {
    return "";  // it has no place for such a conversation
  }
}

}  // namespace initrt
