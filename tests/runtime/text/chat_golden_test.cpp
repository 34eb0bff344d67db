// Conversations written with models' own templates, against what transformers makes of them. The
// references and the script that made them are in tests/golden.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/text/chat.h"
#include "sharding/error.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using nlohmann::json;

std::vector<json> golden_lines(const std::string& name) {
  std::ifstream file(testing::source_path("tests/golden/chat/" + name));
  std::vector<json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
  return lines;
}

std::vector<std::vector<Message>> conversations() {
  std::vector<std::vector<Message>> all;
  for (const json& line : golden_lines("conversations.jsonl")) {
    std::vector<Message>& messages = all.emplace_back();
    for (const json& message : line) messages.push_back({message["role"], message["content"]});
  }
  return all;
}

std::optional<std::string> text_or_null(const json& value) {
  if (value.is_null()) return {};
  return value.get<std::string>();
}

struct Reference {
  json line;
  [[nodiscard]] std::string models() const { return line["models"]; }
};

void PrintTo(const Reference& reference, std::ostream* out) { *out << reference.models(); }

std::vector<Reference> references() {
  std::vector<Reference> all;
  for (json& line : golden_lines("templates.jsonl")) all.push_back({std::move(line)});
  return all;
}

class ChatGolden : public ::testing::TestWithParam<Reference> {};

TEST_P(ChatGolden, WritesWhatTheReferenceWritesAndRefusesWhatItRefuses) {
  const json& reference = GetParam().line;
  const ChatTemplate chat =
      recognise_chat_template(reference["template"].get<std::string>(),
                              {text_or_null(reference["bos"]), text_or_null(reference["eos"])});
  EXPECT_EQ(chat.name, reference["kind"].get<std::string>());
  const auto all = conversations();
  ASSERT_EQ(all.size(), reference["texts"].size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::optional<std::string> text;
    try {
      text = render(chat, all[i]);
    } catch (const Error&) {
    }
    EXPECT_EQ(text, text_or_null(reference["texts"][i])) << "conversation " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ChatGolden, ::testing::ValuesIn(references()),
                         [](const auto& param) {
                           std::string name;
                           for (const char c : param.param.models()) {
                             name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           }
                           return name;
                         });

TEST(ChatGoldenFiles, AreThere) {
  EXPECT_GE(conversations().size(), 30u);
  EXPECT_GE(references().size(), 30u);
}

}  // namespace
}  // namespace initrt
