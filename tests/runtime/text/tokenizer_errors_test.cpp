// A tokenizer.json is untrusted: whatever is wrong in it is one line that names the key.
#include <limits>

#include <gtest/gtest.h>

#include "runtime/text/json_node.h"
#include "tests/runtime/text/small_tokenizer.h"
#include "tests/sharding/one_line.h"

namespace initrt {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// The error for the small tokenizer with the value at `pointer` (RFC 6901) replaced.
std::string error_with(const char* pointer, const json& value) {
  json tokenizer = small_tokenizer();
  tokenizer[json::json_pointer(pointer)] = value;
  return error_of([&] { (void)make_tokenizer(tokenizer); });
}

std::string error_without(const char* object, const char* key) {
  json tokenizer = small_tokenizer();
  tokenizer[json::json_pointer(object)].erase(key);
  return error_of([&] { (void)make_tokenizer(tokenizer); });
}

TEST(TokenizerErrors, ADocumentThatIsNoTokenizer) {
  for (const char* text : {"null", "[]", "1", "\"x\""}) {
    EXPECT_THAT(error_of([&] { (void)make_tokenizer(json::parse(text)); }),
                HasSubstr("tokenizer.json: the document must be an object"));
  }
  EXPECT_EQ(error_of([] { (void)make_tokenizer(json::object()); }),
            "tokenizer.json: has no \"model\"");
}

TEST(TokenizerErrors, MissingKeys) {
  EXPECT_THAT(error_without("/model", "vocab"), HasSubstr("model has no \"vocab\""));
  EXPECT_THAT(error_without("/model", "merges"), HasSubstr("model has no \"merges\""));
  EXPECT_THAT(error_without("", "decoder"), HasSubstr("has no \"decoder\""));
  EXPECT_THAT(error_without("/pre_tokenizer", "type"), HasSubstr("pre_tokenizer has no \"type\""));
  EXPECT_THAT(error_without("/pre_tokenizer", "add_prefix_space"),
              HasSubstr("pre_tokenizer has no \"add_prefix_space\""));
}

TEST(TokenizerErrors, UnknownKindsAreNamed) {
  EXPECT_EQ(error_with("/model/type", "WordLevel"),
            "tokenizer.json: model.type must be a model type known here (\"BPE\", \"Unigram\", "
            "\"WordPiece\"), but is \"WordLevel\"");
  for (const auto& [member, known, type] :
       {std::tuple{"normalizer", "a normalizer known here (\"NFC\", ", "Nmt"},
        {"pre_tokenizer", "a pre-tokenizer known here (\"ByteLevel\", ", "UnicodeScripts"},
        {"post_processor", "\"ByteLevel\", \"TemplateProcessing\", ", "Template"},
        {"decoder", "a decoder known here (\"ByteLevel\", ", "CTC"}}) {
    const std::string error = error_with(("/" + std::string(member)).c_str(), {{"type", type}});
    EXPECT_THAT(error, HasSubstr(fmt::format("tokenizer.json: {}.type must be {}", member, known)));
    EXPECT_THAT(error, ::testing::EndsWith(fmt::format("but is \"{}\"", type)));
  }
  EXPECT_THAT(error_with("/normalizer", json::parse(R"({"type": "Sequence",
                         "normalizers": [{"type": "Nmt"}]})")),
              HasSubstr("normalizer.normalizers[0].type must be a normalizer known here"));
  EXPECT_THAT(error_with("/decoder", nullptr), HasSubstr("decoder must be an object"));
}

TEST(TokenizerErrors, FeaturesThatWouldChangeIds) {
  EXPECT_THAT(error_with("/model/continuing_subword_prefix", "##"),
              HasSubstr("model.continuing_subword_prefix must be null or empty"));
  EXPECT_THAT(error_with("/model/end_of_word_suffix", "</w>"),
              HasSubstr("model.end_of_word_suffix must be null or empty"));
  EXPECT_THAT(error_with("/model/dropout", 0.1), HasSubstr("model.dropout must be null"));
  EXPECT_EQ(error_with("/model/dropout", 0.0), "");
  EXPECT_EQ(error_with("/model/end_of_word_suffix", ""), "");
  EXPECT_EQ(error_with("/model/unk_token", ""), "");
  EXPECT_THAT(error_with("/model/unk_token", "nowhere"),
              HasSubstr("model.unk_token must be a token of the vocabulary"));
}

TEST(TokenizerErrors, VocabularyIds) {
  EXPECT_THAT(error_with("/model/vocab", json::array()),
              HasSubstr("model.vocab must be an object of token to id, but is an array"));
  EXPECT_THAT(error_with("/model/vocab", json::object()), HasSubstr("model.vocab is empty"));
  for (const json& id : {json(-1), json(std::int64_t{1} << 31), json(1.5), json("x"), json(),
                         json(std::numeric_limits<std::int64_t>::min()),
                         json(std::numeric_limits<std::uint64_t>::max())}) {
    EXPECT_THAT(error_with("/model/vocab/he", id),
                HasSubstr("model.vocab: the id of \"he\" must be from 0 to 16777215"))
        << id;
  }
  EXPECT_THAT(error_with("/model/vocab/he", 257), HasSubstr("have the same id 257"));
}

TEST(TokenizerErrors, Merges) {
  EXPECT_THAT(error_with("/model/merges", 5), HasSubstr("model.merges must be an array"));
  for (const json& merge : {json("he"), json("h  e"), json("h e l"), json(5), json::array(),
                            json({"h"}), json({"h", 1}), json({"h", "e", "l"}), json()}) {
    EXPECT_THAT(error_with("/model/merges/1", merge),
                HasSubstr("model.merges[1] must be two tokens"))
        << merge;
  }
  EXPECT_THAT(error_with("/model/merges/1", "h nope"),
              HasSubstr("model.merges[1]: \"nope\" is not in the vocabulary"));
  EXPECT_THAT(error_with("/model/merges/1", "h h"),
              HasSubstr("model.merges[1]: \"hh\" is not in the vocabulary"));
  EXPECT_THAT(error_with("/model/merges/1", " "),
              HasSubstr("model.merges[1]: \"\" is not in the vocabulary"));
}

TEST(TokenizerErrors, AddedTokens) {
  const auto error = [](const json& tokens) { return error_with("/added_tokens", tokens); };
  const auto changed = [](const char* key, const json& value) {
    json token = added_token(300, "<s>", true);
    token[key] = value;
    return json::array({token});
  };
  EXPECT_EQ(error(json::array({added_token(300, "<s>", true)})), "");
  EXPECT_THAT(error(5), HasSubstr("added_tokens must be an array"));
  EXPECT_THAT(error({5}), HasSubstr("added_tokens[0] must be an object"));
  EXPECT_THAT(error(changed("id", std::int64_t{1} << 31)),
              HasSubstr("added_tokens[0].id must be a token id from 0 to 16777215"));
  EXPECT_THAT(error(changed("id", nullptr)), HasSubstr("added_tokens[0].id must be a token id"));
  EXPECT_THAT(error(changed("content", 5)), HasSubstr("added_tokens[0].content must be a string"));
  EXPECT_THAT(error(changed("content", "\x80")),
              HasSubstr("added_tokens[0].content must be UTF-8"));
  EXPECT_THAT(error(changed("lstrip", "yes")), HasSubstr("added_tokens[0].lstrip must be true or"));
  EXPECT_THAT(error(changed("id", 5)), HasSubstr("which is that of"));
  EXPECT_THAT(error(changed("content", "he")), HasSubstr("but 256 in the model's vocabulary"));
  EXPECT_THAT(error({added_token(300, "<s>", true), added_token(300, "<t>", true)}),
              HasSubstr("added_tokens[1]: id 300 is also that of added_tokens[0]"));
  EXPECT_THAT(error({added_token(300, "<s>", true), added_token(301, "<s>", true)}),
              HasSubstr("added_tokens[1]: \"<s>\" is also added_tokens[0]"));
}

TEST(TokenizerErrors, PreTokenizer) {
  EXPECT_THAT(error_with("/pre_tokenizer/use_regex", 1),
              HasSubstr("pre_tokenizer.use_regex must be true or false, but is 1"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "Sequence"}}),
              HasSubstr("pre_tokenizer has no \"pretokenizers\""));
  json split = json::parse(R"({"type": "Split", "pattern": {"Regex": "a"},
                               "behavior": "Sideways", "invert": false})");
  EXPECT_THAT(error_with("/pre_tokenizer", split),
              HasSubstr("pre_tokenizer.behavior must be \"Removed\""));
  split["pattern"] = json::object();
  EXPECT_THAT(error_with("/pre_tokenizer", split),
              HasSubstr("pre_tokenizer.pattern has no \"String\""));
  split["pattern"] = "a";
  EXPECT_THAT(error_with("/pre_tokenizer", split),
              HasSubstr("pre_tokenizer.pattern must be an object"));
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const json again = {{"type", "Sequence"}, {"pretokenizers", {byte_level, byte_level}}};
  EXPECT_EQ(error_with("/pre_tokenizer", again),
            "tokenizer.json: pre_tokenizer.pretokenizers[1]: ByteLevel a second time");
}

TEST(TokenizerErrors, PostProcessor) {
  json post = json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [300], "tokens": ["<s>"]}}})");
  EXPECT_THAT(error_with("/post_processor", post),
              HasSubstr("post_processor: id 300 is that of no token"));
  json nameless = post;
  nameless["special_tokens"] = json::object();
  EXPECT_THAT(error_with("/post_processor", nameless),
              HasSubstr("post_processor.special_tokens has no \"<s>\""));
  json twice = post;
  twice["single"].push_back({{"Sequence", {{"id", "A"}}}});
  EXPECT_THAT(error_with("/post_processor", twice),
              HasSubstr("single[2].Sequence must be the one"));
  json none = post;
  none["single"].erase(1);
  EXPECT_THAT(error_with("/post_processor", none), HasSubstr("single has no sequence \"A\""));
  json nested = {{"type", "Sequence"}, {"processors", json::array()}};
  nested = {{"type", "Sequence"}, {"processors", {nested}}};
  EXPECT_THAT(error_with("/post_processor", nested),
              HasSubstr("post_processor.processors[0].type"));
}

TEST(TokenizerErrors, AreOneLineOfUtf8HoweverTheFileIsMade) {
  const std::string error = error_with("/model/type", "a\n\xFF" + std::string(1000, 'x'));
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_LT(error.size(), 300u);
  EXPECT_THAT(error, HasSubstr("a\\n\uFFFD"));
  EXPECT_THAT(error_with("/model/type", "\x7F\u009B"), HasSubstr("\"\\x7f\\xc2\\x9b\""));
}

TEST(TokenizerErrors, AKeyThatTheFileChoseStaysOnOneShortLineToo) {
  const std::string name = "\x1B[2J" + std::string(1000, 'x');
  json post = json::parse(R"({"type": "TemplateProcessing", "special_tokens": {},
    "single": [{"SpecialToken": {"id": ""}}, {"Sequence": {"id": "A"}}]})");
  post["single"][0]["SpecialToken"]["id"] = name;
  const auto expect_short_line = [&](std::string_view expected) {
    const std::string error = error_with("/post_processor", post);
    EXPECT_THAT(error, HasSubstr(expected));
    EXPECT_TRUE(testing::is_one_line(error)) << error;
    EXPECT_LT(error.size(), 300u);
  };
  expect_short_line("special_tokens has no \"\\u001b[2Jxxx");
  post["special_tokens"][name] = 1;
  expect_short_line("special_tokens.\"\\u001b[2Jxxx");
}

}  // namespace
}  // namespace initrt
