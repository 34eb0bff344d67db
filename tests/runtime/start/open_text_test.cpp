#include "runtime/start/open_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/small_sentencepiece.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

// The content of files that open_text() finds a tokenizer in.
struct TokenizerFiles {
  std::string sentencepiece = testing::SmallSentencePiece().model();
  std::string json = R"({
    "added_tokens": [], "normalizer": null, "post_processor": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                      "use_regex": true},
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": true},
    "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}
  })";
  testing::MemoryFiles files;
  ModelOptions options;
  OpenModel model;

  TokenizerFiles() {
    options.path = "m/lit_model.pth";
    files.content["m/lit_model.pth"] = "";
    model.config = nlohmann::json::object();
  }
  OpenText open() { return open_text(files, options, model); }
  std::string error() {
    return error_of([&] { (void)open(); });
  }
};

TEST(TokenizerOfACheckpoint, HasTheTokensThatOnlyItsConfigNames) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.json"] = test.json;
  // <z> is left out because its id is that of "a", and <y> because added_tokens.json is read only
  // where the config lists no tokens.
  test.files.content["m/tokenizer_config.json"] = R"({"eos_token": "<x>", "added_tokens_decoder": {
    "7": {"content": "<x>", "special": false}, "9": {"content": "a", "special": false},
    "0": {"content": "<z>", "special": false}}})";
  test.files.content["m/added_tokens.json"] = R"({"<y>": 8})";
  const OpenText text = test.open();
  EXPECT_THAT(text.tokenizer->encode("a<x>a"), ElementsAre(0, 7, 0));
  EXPECT_EQ(text.tokenizer->token_id("<z>"), std::nullopt);
  EXPECT_EQ(text.tokenizer->token_id("<y>"), std::nullopt);
}

TEST(TokenizerOfACheckpoint, HasTheTokensOfOlderFilesBesideIt) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.json"] = test.json;
  test.files.content["m/added_tokens.json"] = R"({"<x>": 7, "<y>": 8})";
  EXPECT_THAT(test.open().tokenizer->encode("a<x>a<y>"), ElementsAre(0, 7, 0, 8));
  // Special tokens are known by their names, and where the vocabulary has them, without an id.
  test.files.content["m/special_tokens_map.json"] =
      R"({"eos_token": {"content": "<x>", "lstrip": false}, "pad_token": "<none>",
          "additional_special_tokens": ["a"]})";
  EXPECT_THAT(test.open().tokenizer->encode("a<x>a<y>"), ElementsAre(0, 7, 0, 8));
  test.files.content["m/added_tokens.json"] = R"({"<y>": "8"})";
  EXPECT_THAT(test.error(), HasSubstr("added_tokens.json"));
}

TEST(TokenizerOfACheckpoint, IsASentencePieceModelWhereThereIsNoTokenizerJson) {
  TokenizerFiles test;
  EXPECT_EQ(test.error(),
            "m/lit_model.pth: no tokenizer.json, tokenizer.model, tekken.json, vocab.json, "
            "tiktoken.model, vocab.txt beside it; name one with \"tokenizer\"");
  test.files.content["m/tokenizer.model"] = test.sentencepiece;
  for (const char* path : {"m/lit_model.pth", "m"}) {
    test.options.path = path;
    const OpenText text = test.open();
    EXPECT_THAT(text.tokenizer->encode("a"), ElementsAre(1, 3, 4));
  }
  test.files.content["m/tokenizer.json"] = test.json;
  const OpenText text = test.open();
  EXPECT_THAT(text.tokenizer->encode("a"), ElementsAre(0));
}

TEST(TokenizerOfAModel, IsAFileOfEitherKindOrTheDirectoryOfOne) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.json"] = test.json;
  test.files.content["s/spiece.model"] = test.files.content["d/tokenizer.model"] =
      test.sentencepiece;
  test.files.content["j/tokenizer.json"] = test.json;
  for (const char* path : {"s/spiece.model", "d/tokenizer.model", "d"}) {
    test.options.tokenizer = path;
    EXPECT_THAT(test.open().tokenizer->encode("a"), ElementsAre(1, 3, 4)) << path;
  }
  for (const char* path : {"j/tokenizer.json", "j"}) {
    test.options.tokenizer = path;
    EXPECT_THAT(test.open().tokenizer->encode("a"), ElementsAre(0)) << path;
  }
  test.options.tokenizer = "s";
  EXPECT_THAT(test.error(), HasSubstr("s: no tokenizer.json, tokenizer.model, tekken.json"));
  test.options.tokenizer = "none.model";
  EXPECT_EQ(test.error(), "none.model: no such file");
}

TEST(TokenizerOfAModel, ThatIsNotWhatItsNameSaysIsNamedInTheError) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.model"] = "IQ== 0\nIg==\n";
  EXPECT_EQ(
      test.error(),
      "m/tokenizer.model: line 2: \"Ig==\" is not a token in base64, a space and a rank below "
      "16777216");
  test.files.content["m/tokenizer.model"] = test.json;
  EXPECT_THAT(test.error(), HasSubstr("m/tokenizer.model: byte "));
}

TEST(EndTokens, AreTheSentencePieceModelsWhereTheConfigHasNone) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.model"] = test.sentencepiece;
  EXPECT_THAT(test.open().end_tokens, ElementsAre(2));
  test.model.config = nlohmann::json::parse(R"({"eos_token_id": [7, 8]})");
  EXPECT_THAT(test.open().end_tokens, ElementsAre(7, 8));
  test.model.config = nlohmann::json::parse(R"({"eos_token_id": "</s>"})");
  EXPECT_EQ(test.error(),
            "m/lit_model.pth: model config: eos_token_id is neither a token id nor a list of them");
}

TEST(EndTokens, AreThoseThatTheFilesBesideTheTokenizerNameToo) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.json"] = test.json;
  std::string& config = test.files.content["m/tokenizer_config.json"];
  config = R"({"eos_token": "a"})";
  EXPECT_THAT(test.open().end_tokens, ElementsAre(0));
  config = R"({"eos_token": {"content": "a", "special": true}})";
  EXPECT_THAT(test.open().end_tokens, ElementsAre(0));
  test.model.config["eos_token_id"] = {7, 8};
  EXPECT_THAT(test.open().end_tokens, ElementsAre(7, 8, 0)) << "either ends an answer";
  test.model.config["eos_token_id"] = nullptr;
  config = R"({"eos_token": null, "model_max_length": Infinity})";
  EXPECT_THAT(test.open().end_tokens, ::testing::IsEmpty());
  test.files.content["m/special_tokens_map.json"] = R"({"eos_token": "a"})";
  EXPECT_THAT(test.open().end_tokens, ElementsAre(0));
  config = R"({"eos_token": "<end>"})";
  EXPECT_THAT(test.open().end_tokens, ::testing::IsEmpty()) << "a token that has no id";
  test.files.content["m/added_tokens.json"] = R"({"<end>": 9})";
  EXPECT_THAT(test.open().end_tokens, ElementsAre(9));
  config = R"({"eos_token": "<end>", "added_tokens_decoder": {"5": {"content": "<end>"}}})";
  EXPECT_THAT(test.open().end_tokens, ElementsAre(5));
}

TEST(TokenizerOfACheckpoint, IsVocabAndMergesWhereThereIsNothingElse) {
  TokenizerFiles test;
  test.files.content["m/vocab.json"] = R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3})";
  EXPECT_EQ(test.error(), "m/merges.txt: no such file");
  test.files.content["m/merges.txt"] = "#version: 0.2\na b\n";
  for (const char* tokenizer : {"", "m", "m/vocab.json"}) {
    test.options.tokenizer = tokenizer;
    const OpenText text = test.open();
    EXPECT_THAT(text.tokenizer->encode("aab"), ElementsAre(0, 2)) << tokenizer;
    EXPECT_THAT(text.end_tokens, ElementsAre(3)) << "the class's own";
  }
  test.files.content["m/tokenizer_config.json"] = R"({"tokenizer_class": "CLIPTokenizer"})";
  EXPECT_THAT(test.error(),
              HasSubstr("m/vocab.json: tokenizer_config.json: tokenizer_class must be"));
  test.files.content["m/tokenizer.model"] = test.sentencepiece;
  test.options.tokenizer = "";
  EXPECT_THAT(test.open().tokenizer->encode("a"), ElementsAre(1, 3, 4));
}

// Of tests/golden/ranked, as the file at `path`.
std::string ranks() {
  std::ifstream file(testing::source_path("tests/golden/ranked/ranks.tiktoken"));
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(TokenizerOfACheckpoint, IsTiktokensWhateverItsName) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.model"] = ranks();
  OpenText text = test.open();
  EXPECT_THAT(text.tokenizer->encode("!"), ElementsAre(1000, 33)) << "as Llama 3's, with a BOS";
  EXPECT_THAT(text.tokenizer->encode_bare("<|eot_id|>!"), ElementsAre(1009, 33));
  EXPECT_THAT(text.end_tokens, ElementsAre(1001));
  EXPECT_EQ(text.special.at("bos_token"), "<|begin_of_text|>");
  test.files.content["m/tiktoken.model"] = test.files.content["m/tokenizer.model"];
  test.files.content.erase("m/tokenizer.model");
  test.files.content["m/tokenizer_config.json"] = R"({"eos_token": "[EOS]",
    "added_tokens_decoder": {"1000": {"content": "[BOS]"}, "1001": {"content": "[EOS]"}}})";
  text = test.open();
  EXPECT_THAT(text.tokenizer->encode("![EOS]<|reserved_token_1003|>"), ElementsAre(33, 1001, 1003))
      << "as Kimi's";
  EXPECT_THAT(text.end_tokens, ElementsAre(1001));
}

TEST(TokenizerOfACheckpoint, IsTekkensOrWordPiecesWhereThereIsNothingElse) {
  TokenizerFiles test;
  test.files.content["m/vocab.txt"] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhi\n##s\n";
  EXPECT_THAT(test.open().tokenizer->encode("His"), ElementsAre(2, 5, 6, 3));
  nlohmann::json tekken = {
      {"config",
       {{"pattern", "."}, {"default_vocab_size", 260}, {"default_num_special_tokens", 4}}},
      {"vocab", nlohmann::json::array()}};
  std::istringstream lines(ranks());
  std::string token;
  for (std::size_t rank = 0; rank < 256 && lines >> token >> rank;) {
    tekken["vocab"].push_back({{"rank", rank}, {"token_bytes", token}});
  }
  test.files.content["m/tekken.json"] = tekken.dump();
  for (const char* tokenizer : {"", "m", "m/tekken.json"}) {
    test.options.tokenizer = tokenizer;
    const OpenText text = test.open();
    EXPECT_THAT(text.tokenizer->encode("ab"), ElementsAre(1, 101, 102)) << tokenizer;
    EXPECT_THAT(text.end_tokens, ElementsAre(2));
  }
}

}  // namespace
}  // namespace initrt
