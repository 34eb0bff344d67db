// The main job on the real model: the same text, whatever the number of ranks.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/integration/worlds.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Values;

constexpr const char* kGreedyText =
    "Hello, my name is Alex, and I'm a professional coach. I've been working with clients for over "
    "10 years, and I've seen it all. I've helped people overcome incredible challenges, and I'm "
    "proud to be a part of this community.\n";

// Its first 12 tokens.
constexpr const char* kGreedyStart =
    "Hello, my name is Alex, and I'm a professional coach. I've been\n";

using Settings = std::vector<std::string>;

// The ready job with the real model, and these settings.
std::vector<std::string> job(const Settings& settings) {
  std::vector<std::string> arguments = {"--config", source_path("configs/smollm2.json"), "--set",
                                        "model=" + smollm2()};
  for (const std::string& setting : settings) {
    arguments.push_back("--set");
    arguments.push_back(setting);
  }
  return arguments;
}

Finished generate(int ranks, const Settings& settings) {
  return run(on_ranks(ranks, job(settings)), {}, std::chrono::seconds(120));
}

struct World {
  int ranks;
  std::string communicator;
  std::string move = "auto";
};

void PrintTo(const World& world, std::ostream* out) {
  *out << world.ranks << " ranks, " << world.communicator << ", move " << world.move;
}

std::string name_of(const ::testing::TestParamInfo<World>& info) {
  return info.param.communicator + std::to_string(info.param.ranks);
}

class Generate : public WithSmolLM2, public ::testing::WithParamInterface<World> {};
INSTANTIATE_TEST_SUITE_P(Worlds, Generate,
                         Values(World{1, "mapped"}, World{2, "mapped"},
                                World{3, "mapped", "weights"}, World{4, "mapped"},
                                World{7, "mapped"}, World{1, "mpi"}, World{2, "mpi"},
                                World{3, "mpi", "weights"}, World{4, "mpi"},
                                World{7, "mpi", "activations"}),
                         name_of);

TEST_P(Generate, GreedyTextIsTheReferences) {
  Settings settings = {"precision=32-true", "generate.temperature=0",
                       "sharding.communicator=" + GetParam().communicator,
                       "sharding.move=" + GetParam().move};
  // Each token moves the whole model twice: fewer of them.
  const bool slow = GetParam().communicator == "mpi" && GetParam().move == "weights";
  if (slow) settings.push_back("generate.max_new_tokens=12");
  const Finished run = generate(GetParam().ranks, settings);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, slow ? kGreedyStart : kGreedyText);
  EXPECT_THAT(run.err, Not(HasSubstr("planned were"))) << "memory is not what the plan said";
}

TEST_P(Generate, SampledTextDependsOnTheSeedAlone) {
  static const std::string alone = run(testing::alone(job({"generate.max_new_tokens=12"}))).out;
  EXPECT_THAT(alone, ::testing::StartsWith("Hello, my name is"));
  const Finished run =
      generate(GetParam().ranks,
               {"generate.max_new_tokens=12", "sharding.communicator=" + GetParam().communicator});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, alone);
}

class SmolLM2 : public WithSmolLM2 {};

TEST_F(SmolLM2, AnotherSeedGivesAnotherText) {
  const std::string one = run(alone(job({}))).out;
  const std::string other = run(alone(job({"generate.seed=99"}))).out;
  EXPECT_THAT(one, Not(IsEmpty()));
  EXPECT_NE(one, other);
}

TEST_F(SmolLM2, GenerationStopsAtTheEndTokenUnlessToldOtherwise) {
  // A chat's turn ends with the model's end token.
  const std::string prompt =
      "generate.prompt=<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n";
  const Settings settings = {prompt, "generate.temperature=0", "generate.max_new_tokens=100"};
  const Finished ended = run(alone(job(settings)));
  EXPECT_THAT(ended.err, Not(HasSubstr(" 100 tokens")));
  Settings on = settings;
  on.push_back("generate.ignore_eos=true");
  EXPECT_THAT(run(alone(job(on))).err, HasSubstr(" 100 tokens"));
}

TEST_F(SmolLM2, AChatIsAnsweredAsThePromptThatItsTemplateMakes) {
  const std::string rendered =
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
      "<|im_end|>\n<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n";
  const Settings greedy = {"generate.temperature=0", "generate.max_new_tokens=30"};
  const auto with = [&](const std::string& setting) {
    Settings settings = greedy;
    settings.push_back(setting);
    return settings;
  };
  const Finished plain = run(alone(job(with("generate.prompt=" + rendered))));
  ASSERT_EQ(plain.exit_code, 0) << plain.err;
  ASSERT_THAT(plain.out, ::testing::StartsWith(rendered));
  const std::string answer = plain.out.substr(rendered.size());
  EXPECT_GT(answer.size(), 1u);

  std::vector<std::string> chat = job(with("generate.prompt=Say hi."));
  chat.emplace_back("--chat");
  EXPECT_EQ(run(alone(chat)).out, answer);
  EXPECT_EQ(run(on_ranks(2, chat)).out, answer);

  Settings messages = with(R"(generate.messages=[{"role":"user","content":"Say hi."}])");
  messages.emplace_back("generate.prompt=");
  EXPECT_EQ(generate(2, messages).out, answer);
}

TEST_F(SmolLM2, SeveralPromptsAreAnsweredInOrderWhateverTheWorld) {
  const Settings settings = {
      "generate.prompt=", "generate.max_new_tokens=8", "generate.batch=2",
      R"(generate.prompts=["The sky is","One, two, three,","A","In 1969 the first","Café"])"};
  const Finished one = run(alone(job(settings)));
  ASSERT_EQ(one.exit_code, 0) << one.err;
  std::istringstream lines(one.out);
  std::vector<std::string> prompts;
  for (std::string line; std::getline(lines, line);) {
    const auto answer = nlohmann::json::parse(line);
    prompts.push_back(answer.at("prompt"));
    EXPECT_LE(answer.at("tokens").size(), 8u);
    EXPECT_FALSE(answer.at("completion").get<std::string>().empty());
  }
  EXPECT_THAT(prompts, ::testing::ElementsAre("The sky is", "One, two, three,", "A",
                                              "In 1969 the first", "Café"));
  for (const int ranks : {2, 3, 7}) EXPECT_EQ(generate(ranks, settings).out, one.out) << ranks;
}

TEST_F(SmolLM2, StopStringsCutTheStreamedText) {
  // " professional" is one token, "over 10" is several.
  const Settings greedy = {"precision=32-true", "generate.temperature=0"};
  const auto text_with = [&](const std::string& stop) {
    Settings settings = greedy;
    settings.push_back("generate.stop=" + stop);
    const Finished finished = run(alone(job(settings)));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return finished.out;
  };
  EXPECT_EQ(text_with("fessional"), "Hello, my name is Alex, and I'm a pro\n");
  EXPECT_EQ(text_with(R"(["never","over 10 y"])"),
            "Hello, my name is Alex, and I'm a professional coach. I've been working with clients "
            "for \n");
  EXPECT_EQ(text_with("Hello, my"), kGreedyText) << "the prompt does not count";
  EXPECT_EQ(text_with("this community.!"), kGreedyText) << "what is held back comes at the end";
}

TEST_F(SmolLM2, StopStringsAndLogprobsAreTheSameOnAnyNumberOfRanks) {
  const Settings settings = {
      "generate.prompt=",
      "generate.max_new_tokens=12",
      "generate.batch=1",
      "generate.logprobs=2",
      "generate.min_p=0.05",
      "generate.repetition_penalty=1.2",
      R"(generate.stop=[" the",".","five"])",
      R"(generate.prompts=["The sky is","One, two, three,","A","In 1969 the first","Café"])"};
  const Finished one = run(alone(job(settings)));
  ASSERT_EQ(one.exit_code, 0) << one.err;
  std::istringstream lines(one.out);
  int stopped = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto answer = nlohmann::json::parse(line);
    const auto text = answer.at("completion").get<std::string>();
    for (const char* stop : {" the", ".", "five"}) EXPECT_THAT(text, Not(HasSubstr(stop)));
    const bool by_length = answer.at("finish_reason") == "length";
    EXPECT_EQ(by_length, answer.at("tokens").size() == 12) << line;
    stopped += by_length ? 0 : 1;
    const auto& content = answer.at("logprobs").at("content");
    ASSERT_EQ(content.size(), answer.at("tokens").size());
    for (std::size_t i = 0; i < content.size(); ++i) {
      EXPECT_EQ(content[i].at("id"), answer.at("tokens")[i]);
      EXPECT_LE(content[i].at("logprob").get<double>(),
                content[i].at("top_logprobs").at(0).at("logprob").get<double>());
      EXPECT_EQ(content[i].at("top_logprobs").size(), 2u);
    }
  }
  EXPECT_GT(stopped, 0);
  for (const int ranks : {2, 3}) EXPECT_EQ(generate(ranks, settings).out, one.out) << ranks;
}

TEST_F(SmolLM2, OnePromptWithLogprobsIsAnsweredAsJson) {
  const Settings settings = {"generate.max_new_tokens=3", "generate.logprobs=1"};
  const Finished finished = run(alone(job(settings)));
  const auto answer = nlohmann::json::parse(finished.out);
  EXPECT_EQ(answer.at("prompt"), "Hello, my name is");
  EXPECT_EQ(answer.at("logprobs").at("content").size(), 3u);
  for (const int ranks : {2, 3}) EXPECT_EQ(generate(ranks, settings).out, finished.out) << ranks;
}

TEST_F(SmolLM2, PromptsOfAFileMayHaveTheirOwnNumberOfTokens) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("prompts.jsonl"), report = directory.file("report.json");
  std::ofstream(path) << R"({"prompt": "A", "max_new_tokens": 9})"
                         "\n"
                         R"("B")"
                         "\n"
                      << R"({"prompt": "C", "max_new_tokens": 9})"
                         "\n"
                         R"("D")"
                         "\n";
  std::vector<std::string> arguments =
      job({"generate.prompt=", "generate.prompts=" + path, "generate.max_new_tokens=2",
           "generate.ignore_eos=true", "generate.batch=1"});
  arguments.insert(arguments.end(), {"--report", report});
  const Finished finished = run(on_ranks(2, arguments));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  std::istringstream lines(finished.out);
  std::vector<std::size_t> tokens;
  for (std::string line; std::getline(lines, line);) {
    tokens.push_back(nlohmann::json::parse(line).at("tokens").size());
  }
  EXPECT_THAT(tokens, ::testing::ElementsAre(9, 2, 9, 2));
  // The rank that has done B goes on with C; the other does A and D.
  EXPECT_EQ(nlohmann::json::parse(contents(report)).at("generate").at("sweeps"), 11);
}

TEST_F(SmolLM2, EachByteIsReadOnceAndMemoryIsAsPlanned) {
  const TemporaryDirectory directory;
  for (const int ranks : {1, 2, 4, 7}) {
    // Past the page cache, so that block alignment counts.
    const int fd = open(smollm2().c_str(), O_RDONLY);
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    std::vector<std::string> arguments = job({"generate.max_new_tokens=2"});
    arguments.insert(arguments.end(), {"--report", directory.file("report.json")});
    const Finished run = testing::run(on_ranks(ranks, arguments));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const auto report = nlohmann::json::parse(contents(directory.file("report.json")));
    const auto& load = report.at("load");
    EXPECT_EQ(report.at("world"), ranks);
    EXPECT_GE(load.at("requested_to_needed").get<double>(), 1.0);
    EXPECT_LE(load.at("requested_to_needed").get<double>(), 1.0001);
    // Each rank's rows of each of 272 tensors begin and end within a drive's block of 4 KiB; and of
    // rotary heads that two ranks share each reads every second row of 360 bytes, in the file's
    // order.
    const double needed = 97e6, ends = ranks * 272 * 2 * 4096 / needed;
    EXPECT_LE(load.at("read_to_needed").get<double>(), ranks == 1 ? 1.02 : 1.02 + 2 * ends);
    EXPECT_EQ(report.at("memory").at("planned"), report.at("memory").at("peak"));
    if (ranks > 1) {
      EXPECT_LT(report.at("memory").at("planned").at("max").get<double>(), 270e6)
          << "a rank holds as much as the whole model";
    }
  }
}

TEST_F(SmolLM2, TheRateIsOfTheSweepsAfterTheFirstToken) {
  const Settings prompts = {"generate.prompt=", R"(generate.prompts=["a","b","c","d"])"};
  Settings one = prompts, three = prompts;
  one.emplace_back("generate.max_new_tokens=1");
  three.emplace_back("generate.max_new_tokens=3");
  EXPECT_THAT(run(alone(job(one))).err, Not(HasSubstr("tokens/s"))) << "nothing was decoded";
  EXPECT_THAT(run(alone(job(three))).err, HasSubstr("tokens/s"));
}

TEST_F(SmolLM2, NothingFollowsTheLineOfAnError) {
  const TemporaryDirectory directory;
  const Finished finished =
      run({"sh", "-c",
           std::string(program()) + " --progress lines --set generate.prompt=Hi --set model=" +
               smollm2() + " > /dev/full"});
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_THAT(finished.own_lines(), ::testing::ElementsAre(HasSubstr("standard output")));
  EXPECT_THAT(finished.err.substr(finished.err.rfind('\n', finished.err.size() - 2) + 1),
              ::testing::StartsWith("initrt: "));
}

TEST_F(SmolLM2, ABudgetKeepsUnitsResidentAndChangesNoBit) {
  const Settings settings = {"sharding.communicator=mpi", "generate.max_new_tokens=8"};
  Settings rich = settings;
  rich.push_back("memory.budget=300MB");
  const Finished poor = generate(2, settings), kept = generate(2, rich);
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_EQ(kept.out, poor.out);
}

}  // namespace
}  // namespace initrt::testing
