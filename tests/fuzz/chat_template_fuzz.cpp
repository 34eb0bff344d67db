// A chat template of any source, rendered for a conversation with tools, calls and reasoning.
#include <nlohmann/json.hpp>

#include "runtime/text/chat.h"
#include "runtime/text/utf8.h"
#include "tests/fuzz/fuzz.h"

using namespace initrt;

namespace {

nlohmann::ordered_json variables() {
  return nlohmann::ordered_json::parse(R"({
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "documents": null,
    "none": null, "yes": true, "no": false, "seven": 7, "half": 0.5, "empty": "", "list": [3, 1, 2],
    "word": "Stra\u00dfe \u4e16 \ud83d\ude00", "text": " two  words\n and\ta line \n",
    "names": ["b", "A", "c", "a"], "nested": [[1, [2]], {"a": [null, true]}],
    "people": [{"name": "Ann", "age": 30, "town": {"name": "Rom"}}, {"name": "bob", "age": 25}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {
      "type": "object", "properties": {"p": {"type": "string", "enum": ["a"]}}, "required": ["p"]}}}],
    "messages": [{"role": "system", "content": " s\u3000"}, {"role": "user", "content": "u"},
      {"role": "assistant", "content": "<think>\n</think>a", "reasoning_content": "r",
       "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": {"p": 1.5}}}]},
      {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "t"}]}]
  })");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  static const nlohmann::ordered_json given = variables();
  constexpr jinja::Limits kLimits = {.memory = 8u << 20, .output = 1u << 20, .steps = 300'000};
  const std::string source = fuzz::text_of(data, bytes);
  std::tm now{};
  now.tm_year = 125;
  now.tm_mday = 1;
  return fuzz::one_input("line ", [&] {
    const jinja::Template made(source);
    const std::string text = made.render(given, now, kLimits);
    if (text.size() > kLimits.output) fuzz::finding("a text past the limit");
    if (to_valid_utf8(text) != text) fuzz::finding("a text that is not UTF-8");
    if (made.render(given, now, kLimits) != text) fuzz::finding("another text the second time");
  });
}
