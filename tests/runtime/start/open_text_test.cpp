#include "runtime/start/open_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "sharding/error.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/small_sentencepiece.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::string> texts_of(const std::vector<PromptText>& prompts) {
  std::vector<std::string> texts;
  for (const PromptText& prompt : prompts) texts.push_back(prompt.text);
  return texts;
}

/// Of these lengths, to be answered with 10 tokens.
std::vector<Prompt> prompts_of(std::initializer_list<std::size_t> lengths) {
  std::vector<Prompt> prompts;
  for (const std::size_t length : lengths) {
    prompts.push_back(
        {static_cast<std::uint32_t>(prompts.size()), std::vector<TokenId>(length), 10});
  }
  return prompts;
}

Graph graph_with_context(std::uint64_t context) {
  Graph graph;
  graph.context = context;
  return graph;
}

TEST(Prompts, ComeFromOneKeyOrTheOther) {
  LocalFiles files;
  Job job;
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("no prompt: set generate.prompt"));
  job.generate.prompt = "";
  EXPECT_THAT(texts_of(read_prompts(files, job)), ElementsAre(""));
  job.generate.prompt = "one";
  EXPECT_THAT(texts_of(read_prompts(files, job)), ElementsAre("one"));
  job.generate.prompts.texts = {"a", "b"};
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }), HasSubstr("both"));
  job.generate.prompt = "";  // takes back the one of a job's file
  EXPECT_THAT(texts_of(read_prompts(files, job)), ElementsAre("a", "b"));
  EXPECT_EQ(read_prompts(files, job)[1].max_new_tokens, job.generate.max_new_tokens);
}

TEST(Prompts, OfAChatAreUsersMessagesAfterTheSystemsOne) {
  LocalFiles files;
  Job job;
  job.generate.prompts.texts = {"a", "b"};
  job.generate.system = "s";
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("generate.system is set, but no prompt is a conversation"));
  job.generate.chat = true;
  const auto messages = [&](std::size_t prompt) {
    return read_prompts(files, job).at(prompt).conversation.messages.dump();
  };
  EXPECT_EQ(messages(1), R"([{"role":"system","content":"s"},{"role":"user","content":"b"}])");
  job.generate.system.clear();
  EXPECT_EQ(messages(1), R"([{"role":"user","content":"b"}])");
}

TEST(Prompts, ConversationsHaveTheJobsToolsUnlessTheyBringTheirOwn) {
  testing::MemoryFiles files;
  files.content["p.jsonl"] =
      R"({"messages": [{"role": "user", "content": "a"}], "tools": [{"name": "own"}]}
{"messages": [{"role": "user", "content": "b"}]})";
  Job job;
  job.generate.prompts.path = "p.jsonl";
  job.generate.tools = nlohmann::ordered_json::parse(R"([{"name": "job's"}])");
  const std::vector<PromptText> prompts = read_prompts(files, job);
  EXPECT_EQ(prompts.at(0).conversation.tools.dump(), R"([{"name":"own"}])");
  EXPECT_EQ(prompts.at(1).conversation.tools.dump(), R"([{"name":"job's"}])");
  job.generate.prompts = {{"plain"}, ""};
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("generate.tools is set, but no prompt is a conversation"));
}

TEST(Prompts, AConversationKeepsTheSystemMessageThatItHas) {
  LocalFiles files;
  Job job;
  job.generate.messages = nlohmann::ordered_json::parse(
      R"([{"role": "system", "content": "own"}, {"role": "user", "content": "a"}])");
  job.generate.system = "s";
  EXPECT_EQ(read_prompts(files, job).at(0).conversation.messages, job.generate.messages);
  job.generate.messages.erase(job.generate.messages.begin());
  EXPECT_EQ(read_prompts(files, job).at(0).conversation.messages.dump(),
            R"([{"role":"system","content":"s"},{"role":"user","content":"a"}])");
  job.generate.prompt = "p";
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("both generate.messages and generate.prompt are set"));
}

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
  Job job;
  OpenModel model;

  TokenizerFiles() {
    job.model = "m/lit_model.pth";
    files.content["m/lit_model.pth"] = "";
    model.config = nlohmann::json::object();
  }
  OpenText open() { return open_text(files, job, model); }
  std::string error() {
    return error_of([&] { (void)open(); });
  }
};

TEST(Prompts, AnEmptyOneIsWhatTheTokenizerBeginsWith) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.json"] = test.json;
  const OpenText none = test.open();
  std::vector<PromptText> texts = {{"a", 1}, {"", 1}};
  EXPECT_EQ(error_of([&] { (void)tokenize(*none.tokenizer, texts, 10); }),
            "prompt 1 is empty: there is nothing to go on from, since the tokenizer begins no text "
            "with a token of its own (BOS)");
  test.files.content.erase("m/tokenizer.json");
  test.files.content["m/tokenizer.model"] = test.sentencepiece;
  const OpenText first = test.open();
  texts = {{"", 1}};
  EXPECT_THAT(tokenize(*first.tokenizer, texts, 10).at(0).tokens, ElementsAre(1));
}

TEST(Prompts, TokensBeyondTheModelsVocabularyAreNamedWithTheirPrompt) {
  class TwoTokens final : public Tokenizer {
    std::vector<TokenId> encode(std::string_view text) const override {
      return {text == "big" ? 10 : 9};
    }
    std::vector<TokenId> encode_bare(std::string_view) const override { return {8}; }
    std::string token_bytes(TokenId) const override { return ""; }
    std::size_t vocabulary() const override { return 11; }
  };
  const auto messages = nlohmann::ordered_json::parse(R"([{"role": "user", "content": "u"}])");
  std::vector<PromptText> good = {{"small", 1}, {"small", 1}};
  std::vector<PromptText> chat = {{"chat", 1, {messages, nullptr}}};
  std::vector<PromptText> bad = {{"small", 1}, {"big", 1}};
  EXPECT_EQ(tokenize(TwoTokens(), good, 10).size(), 2u);
  EXPECT_THAT(tokenize(TwoTokens(), chat, 10).at(0).tokens, ElementsAre(8))
      << "a chat template's text has its special tokens";
  EXPECT_THAT(error_of([&] { (void)tokenize(TwoTokens(), bad, 10); }),
              ::testing::AllOf(HasSubstr("prompt 1"), HasSubstr("token 10")));
  bad[1].line = 4;  // of a file: only this one's result says so
  EXPECT_EQ(tokenize(TwoTokens(), bad, 10).size(), 1u);
  EXPECT_THAT(bad[1].error, ::testing::AllOf(HasSubstr("line 4"), HasSubstr("token 10")));
}

TEST(TokenizerOfACheckpoint, IsASentencePieceModelWhereThereIsNoTokenizerJson) {
  TokenizerFiles test;
  EXPECT_EQ(test.error(),
            "m/lit_model.pth: no tokenizer.json, tokenizer.model, tekken.json, vocab.json, "
            "tiktoken.model, vocab.txt beside it; name one with \"tokenizer\"");
  test.files.content["m/tokenizer.model"] = test.sentencepiece;
  for (const char* path : {"m/lit_model.pth", "m"}) {
    test.job.model = path;
    const OpenText text = test.open();
    EXPECT_THAT(text.tokenizer->encode("a"), ElementsAre(1, 3, 4));
  }
  test.files.content["m/tokenizer.json"] = test.json;
  const OpenText text = test.open();
  EXPECT_THAT(text.tokenizer->encode("a"), ElementsAre(0));
}

TEST(TokenizerOfAJob, IsAFileOfEitherKindOrTheDirectoryOfOne) {
  TokenizerFiles test;
  test.files.content["m/tokenizer.json"] = test.json;
  test.files.content["s/spiece.model"] = test.files.content["d/tokenizer.model"] =
      test.sentencepiece;
  test.files.content["j/tokenizer.json"] = test.json;
  for (const char* path : {"s/spiece.model", "d/tokenizer.model", "d"}) {
    test.job.tokenizer = path;
    EXPECT_THAT(test.open().tokenizer->encode("a"), ElementsAre(1, 3, 4)) << path;
  }
  for (const char* path : {"j/tokenizer.json", "j"}) {
    test.job.tokenizer = path;
    EXPECT_THAT(test.open().tokenizer->encode("a"), ElementsAre(0)) << path;
  }
  test.job.tokenizer = "s";
  EXPECT_THAT(test.error(), HasSubstr("s: no tokenizer.json, tokenizer.model, tekken.json"));
  test.job.tokenizer = "none.model";
  EXPECT_EQ(test.error(), "none.model: no such file");
}

TEST(TokenizerOfAJob, ThatIsNotWhatItsNameSaysIsNamedInTheError) {
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
    test.job.tokenizer = tokenizer;
    const OpenText text = test.open();
    EXPECT_THAT(text.tokenizer->encode("aab"), ElementsAre(0, 2)) << tokenizer;
    EXPECT_THAT(text.end_tokens, ElementsAre(3)) << "the class's own";
  }
  test.files.content["m/tokenizer_config.json"] = R"({"tokenizer_class": "CLIPTokenizer"})";
  EXPECT_THAT(test.error(),
              HasSubstr("m/vocab.json: tokenizer_config.json: tokenizer_class must be"));
  test.files.content["m/tokenizer.model"] = test.sentencepiece;
  test.job.tokenizer = "";
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
    test.job.tokenizer = tokenizer;
    const OpenText text = test.open();
    EXPECT_THAT(text.tokenizer->encode("ab"), ElementsAre(1, 101, 102)) << tokenizer;
    EXPECT_THAT(text.end_tokens, ElementsAre(2));
  }
}

TEST(GenerateShape, IsSizedByTheLongestPromptAndTheBatch) {
  Job job;
  job.generate.batch = 2;
  job.generate.prefill_chunk = 16;
  const RunShape shape = generate_shape(job, graph_with_context(100), prompts_of({3, 7, 5}), 1);
  EXPECT_EQ(shape.context, 17u);
  EXPECT_EQ(shape.sequences, 2u);
  EXPECT_EQ(shape.logit_rows, 2u);
  EXPECT_EQ(shape.sweep_rows, 14u);
  EXPECT_EQ(generate_shape(job, graph_with_context(100), prompts_of({3, 7, 5}), 3).sequences, 1u);
}

TEST(GenerateShape, CountsEachPromptsOwnNewTokens) {
  std::vector<Prompt> prompts = prompts_of({3, 7, 5});
  prompts[2].max_new_tokens = 20;
  EXPECT_EQ(generate_shape({}, graph_with_context(100), prompts, 1).context, 25u);
  EXPECT_EQ(error_of([&] { (void)generate_shape({}, graph_with_context(24), prompts, 1); }),
            "a context of 25 positions (a prompt of 5 tokens and max_new_tokens 20) is beyond the "
            "model's 24");
  Job job;
  job.generate.context = 24;
  EXPECT_EQ(error_of([&] { (void)generate_shape(job, graph_with_context(100), prompts, 1); }),
            "prompt 2 has 5 tokens and its max_new_tokens is 20: 25 positions, but "
            "generate.context is 24");
}

TEST(GenerateShape, ContextsThatDoNotFitAreErrors) {
  Job job;
  const auto error = [&](std::uint64_t model, std::size_t prompt) {
    return error_of(
        [&] { (void)generate_shape(job, graph_with_context(model), prompts_of({prompt}), 1); });
  };
  EXPECT_THAT(error(16, 7), HasSubstr("a context of 17 positions"));
  EXPECT_EQ(error(17, 7), "no error");
  job.generate.context = 20;
  EXPECT_THAT(error(19, 7), HasSubstr("generate.context"));
  EXPECT_EQ(error(20, 10), "no error");
  EXPECT_THAT(error(100, 11), HasSubstr("prompt 0 has 11 tokens"));
}

TEST(ScoreShape, IsNoLargerThanTheText) {
  Job job;
  EXPECT_EQ(score_shape(job, graph_with_context(100), 5).sweep_rows, 5u);
  EXPECT_EQ(score_shape(job, graph_with_context(1000), 500).sweep_rows, 64u);
  EXPECT_THROW((void)score_shape(job, graph_with_context(100), 101), Error);
}

}  // namespace
}  // namespace initrt
