#include "runtime/text/chat.h"

#include <algorithm>
#include <array>

#include "runtime/text/chat_kinds.h"
#include "runtime/text/chat_skeleton.h"
#include "runtime/text/json_node.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// White space as Python's str.isspace() has it beyond ASCII's: U+0085 and U+00A0, then those of
// three bytes.
constexpr std::array<std::string_view, 19> kWideSpaces = {
    "\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
    "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200A",
    "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1C' && c <= '\x1F');
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const auto wide = [&](bool (std::string_view::*at)(std::string_view) const) {
    const auto* found = std::find_if(kWideSpaces.begin(), kWideSpaces.end(),
                                     [&](std::string_view space) { return (text.*at)(space); });
    return found == kWideSpaces.end() ? std::size_t{0} : found->size();
  };
  while (!text.empty()) {
    const std::size_t bytes = is_space(text.front()) ? 1 : wide(&std::string_view::starts_with);
    if (bytes == 0) break;
    text.remove_prefix(bytes);
  }
  while (!text.empty()) {
    const std::size_t bytes = is_space(text.back()) ? 1 : wide(&std::string_view::ends_with);
    if (bytes == 0) break;
    text.remove_suffix(bytes);
  }
  return text;
}

TemplateSource::TemplateSource(std::string_view source, const SpecialTexts& special)
    : skeleton_(skeleton_of(source)), special_(special) {}

bool TemplateSource::has_all(std::initializer_list<std::string_view> parts) const {
  return std::all_of(parts.begin(), parts.end(), [&](std::string_view part) { return has(part); });
}

std::optional<std::string> TemplateSource::constant_between(std::string_view before,
                                                            std::string_view after) const {
  const std::string_view skeleton = skeleton_;
  const std::size_t quote = before.find_last_of('\'');
  const std::string_view outside = before.substr(0, quote + 1), start = before.substr(quote + 1);
  for (std::size_t open = 0; (open = skeleton.find('\'', open)) != std::string_view::npos;) {
    std::size_t close = open + 1;  // of the constant that opens here
    while (close < skeleton.size() && skeleton[close] != '\'') {
      close += skeleton[close] == '\\' ? 2 : 1;
    }
    close = std::min(close + 1, skeleton.size());
    std::string_view inside = skeleton.substr(open + 1, close - open - 1);
    if (skeleton.substr(0, open + 1).ends_with(outside) && inside.starts_with(start)) {
      inside.remove_prefix(start.size());
      if (const std::size_t found = inside.find(after); found != std::string_view::npos) {
        return unescaped(inside.substr(0, found));
      }
    }
    open = close;
  }
  return std::nullopt;
}

std::string TemplateSource::bos() const {
  if (!has("bos_token")) return "";
  if (!special_.bos) fail("the chat template writes the BOS token, but no file says which it is");
  return *special_.bos;
}

std::string TemplateSource::eos() const {
  if (!special_.eos) fail("the chat template writes the EOS token, but no file says which it is");
  return *special_.eos;
}

bool is_message_role(std::string_view role) {
  return role == "system" || role == "user" || role == "assistant";
}

ChatTemplate recognise_chat_template(std::string_view source, const SpecialTexts& special) {
  if (source.size() > kMaxTemplateBytes) {
    fail("the chat template has {} bytes, at most {} are read", source.size(), kMaxTemplateBytes);
  }
  const auto beginning = [&] { return in_quotes(source.substr(0, 80)); };
  try {
    const TemplateSource parts(source, special);
    if (auto found = turns_template(parts)) return *std::move(found);
    if (auto found = alternating_template(parts)) return *std::move(found);
  } catch (const Error& error) {
    fail("{} (it begins {})", error.what(), beginning());
  }
  fail(
      "the chat template that begins {} is none of those known: ChatML (with Qwen's), Llama 2 and "
      "3, Mistral, Gemma, Phi, Zephyr and OLMo 2",
      beginning());
}

std::string render(const ChatTemplate& chat, std::span<const Message> messages) {
  if (messages.empty()) fail("the conversation has no message");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (is_message_role(messages[i].role)) continue;
    fail("messages[{}] has the role {}, expected \"system\", \"user\" or \"assistant\"", i,
         in_quotes(messages[i].role));
  }
  if (messages.back().role == "assistant") {
    fail("the conversation ends with an answer of the assistant: there is nothing to answer");
  }
  return chat.write(messages);
}

}  // namespace initrt
