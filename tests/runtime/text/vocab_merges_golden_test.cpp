// Ids of tokenizers made of vocab.json and merges.txt against transformers'. The references and
// the script that made them are in tests/golden.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/text/vocab_merges.h"
#include "sharding/error.h"
#include "tests/runtime/text/styles.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using nlohmann::json;

std::ifstream open(const std::string& name) {
  std::ifstream file(testing::source_path("tests/golden/" + name));
  if (!file) fail("tests/golden/{} is missing", name);
  return file;
}

const json& all_cases() {
  static const json content = json::parse(open("vocab_merges/cases.json"));
  return content;
}

std::vector<std::string> texts() {
  std::vector<std::string> all = all_cases()["texts"];
  for (std::size_t i = 0; i < styles::texts().size(); i += 10) all.push_back(styles::texts()[i]);
  return all;
}

VocabAndMerges files_of(const std::string& name) {
  const json& given = all_cases()["cases"][name];
  const json model = json::parse(open("tokenizer_styles/byte_level.json"));
  VocabAndMerges files;
  files.vocabulary = model["vocab"];
  files.vocabulary.update(given["vocabulary"]);
  files.merges = "#version: 0.2\n";
  for (const json& merge : model["merges"]) {
    files.merges += merge.is_string()
                        ? merge.get<std::string>()
                        : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    files.merges += '\n';
  }
  files.config = given["files"].value("tokenizer_config.json", json::object());
  files.special = given["files"].value("special_tokens_map.json", json::object());
  return files;
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const auto& [name, given] : all_cases()["cases"].items()) names.push_back(name);
  return names;
}

class VocabAndMergesTokenizer : public ::testing::TestWithParam<std::string> {};

TEST_P(VocabAndMergesTokenizer, EncodesAsTheReference) {
  const auto tokenizer = make_tokenizer(tokenizer_json_from_vocab(files_of(GetParam())).json);
  std::ifstream references = open("vocab_merges/" + GetParam() + ".hashes");
  for (const std::string& text : texts()) {
    std::size_t count = 0;
    std::string hash;
    ASSERT_TRUE(references >> count >> hash) << "a reference is missing";
    const std::vector<TokenId> ids = tokenizer->encode(text);
    EXPECT_EQ(fmt::format("{:08x}", styles::hash(ids)), hash) << text;
    EXPECT_EQ(ids.size(), count) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, VocabAndMergesTokenizer, ::testing::ValuesIn(names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace initrt
