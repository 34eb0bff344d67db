// plan, inspect, convert and score, as a person calls them.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/integration/worlds.h"
#include "tests/support/small_llama.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Values;

constexpr const char* kTokens = "5,17,300,2,99,45,8,8,120,77,501,0";

class Commands : public ::testing::Test {
 protected:
  Commands() {
    write_safetensors(directory_.path(), model_, tensors_, DType::F32, 3);
    write_gguf(gguf_, model_, tensors_);
  }

  // All logits of a few tokens, as bytes.
  std::string logits(const std::string& model, int ranks, std::vector<std::string> settings = {}) {
    std::vector<std::string> arguments = {"score", "--tokens", kTokens,         "--logits",
                                          npy_,    "--set",    "model=" + model};
    settings.emplace_back("precision=32-true");
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    std::filesystem::remove(npy_);
    const Finished finished = run(ranks == 0 ? alone(arguments) : on_ranks(ranks, arguments));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return contents(npy_);
  }

  const SmallLlama model_;
  const std::vector<SmallTensor> tensors_ = random_tensors(model_, 3);
  const TemporaryDirectory directory_;
  const std::string gguf_ = directory_.file("small.gguf"), npy_ = directory_.file("logits.npy");
};

TEST_F(Commands, LogitsAreTheSameFromEveryFormatAndWorld) {
  const std::string reference = logits(directory_.path(), 0);
  EXPECT_EQ(reference.size(), 128 + 12 * 509 * sizeof(float));
  EXPECT_EQ(logits(gguf_, 0), reference);
  EXPECT_EQ(logits(gguf_, 3, {"sharding.communicator=mapped"}), reference);
  EXPECT_EQ(logits(directory_.path(), 4,
                   {"sharding.communicator=mpi", "sharding.prefetch=3", "load.staging=64KiB",
                    "generate.prefill_chunk=5", "threads=2"}),
            reference);
}

TEST_F(Commands, ConvertedCheckpointsAreTheSameModelAndRefuseToBeOverwritten) {
  const std::string reference = logits(gguf_, 0), out = directory_.file("converted");
  // The small GGUF carries no tokenizer; any will do.
  const std::string tokenizer = directory_.file("tokenizer.json");
  const std::vector<std::string> command =
      alone({"convert", gguf_, out, "--to", "safetensors", "--max-file-size", "60KB", "--tokenizer",
             source_path("tests/integration/tokenizer.json")});
  const Finished finished = run(command);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const auto listed = nlohmann::json::parse(run(alone({"inspect", out, "--json"})).out);
  EXPECT_GT(listed.at("files").size(), 2u);
  EXPECT_EQ(logits(out, 2), reference);
  const Finished again = run(command);
  EXPECT_NE(again.exit_code, 0);
  EXPECT_THAT(again.own_lines(), ::testing::ElementsAre(HasSubstr("exists already")));
}

TEST_F(Commands, ConvertingCopiesASentencePieceModelAsItIs) {
  const std::string tokenizer = source_path("tests/golden/sentencepiece/llama.model");
  const std::string out = directory_.file("converted");
  const Finished finished =
      run(alone({"convert", gguf_, out, "--to", "safetensors", "--tokenizer", tokenizer}));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(contents(out + "/tokenizer.model"), contents(tokenizer));
  for (const char* name : {"/tokenizer.json", "/tokenizer_config.json"}) {
    EXPECT_FALSE(std::filesystem::exists(out + name)) << name;
  }
  const std::string prompt = "Hello there";
  const Finished answered =
      run(on_ranks(2, {"--set", "model=" + out, "--set", "generate.prompt=" + prompt, "--set",
                       "generate.max_new_tokens=3"}));
  EXPECT_EQ(answered.exit_code, 0) << answered.err;
  EXPECT_THAT(answered.out, ::testing::StartsWith(prompt));
}

TEST_F(Commands, ConvertingKeepsSixteenBitWeightsUnlessToldOtherwise) {
  const std::string bf16 = directory_.file("bf16");
  std::filesystem::create_directory(bf16);
  write_safetensors(bf16, model_, tensors_, DType::BF16, 1);
  const auto dtypes_of = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> command = {"convert",
                                        bf16,
                                        out,
                                        "--to",
                                        "safetensors",
                                        "--tokenizer",
                                        source_path("tests/integration/tokenizer.json")};
    command.insert(command.end(), more.begin(), more.end());
    EXPECT_EQ(run(alone(command)).exit_code, 0);
    return nlohmann::json::parse(run(alone({"inspect", out, "--json"})).out).at("dtypes");
  };
  const auto kept = dtypes_of(directory_.file("kept"), {});
  EXPECT_EQ(kept.size(), 1u);
  EXPECT_TRUE(kept.contains("BF16"));
  EXPECT_TRUE(dtypes_of(directory_.file("wide"), {"--precision", "32-true"}).contains("F32"));
}

TEST_F(Commands, InspectListsEveryTensor) {
  const auto listed =
      nlohmann::json::parse(run(alone({"inspect", directory_.path(), "--json"})).out);
  EXPECT_EQ(listed.at("format"), "safetensors");
  EXPECT_EQ(listed.at("tensors").size(), tensors_.size());
  std::uint64_t elements = 0;
  for (const auto& tensor : listed.at("tensors")) {
    std::uint64_t product = 1;
    for (const auto& extent : tensor.at("shape")) product *= extent.get<std::uint64_t>();
    EXPECT_EQ(tensor.at("bytes"), product * 4);
    elements += product;
  }
  const std::string table = run(alone({"inspect", directory_.path()})).out;
  EXPECT_THAT(table, AllOf(HasSubstr("model.layers.0.mlp.up_proj.weight"), HasSubstr("[36, 52]"),
                           HasSubstr(std::to_string(elements) + " elements")));
}

TEST_F(Commands, ScoringGivesTheSameNumbersAsItsLogits) {
  const Finished finished =
      run(alone({"score", "--set", "model=" + directory_.path(), "--tokens", kTokens}));
  EXPECT_THAT(finished.out, AllOf(HasSubstr("tokens 12\n"), HasSubstr("\nperplexity ")));
}

TEST_F(Commands, TheSchemaIsPrinted) {
  const auto schema = nlohmann::json::parse(run(alone({"schema"})).out);
  EXPECT_TRUE(schema.at("properties").contains("model"));
}

TEST_F(Commands, HelpAndVersionEndWell) {
  for (const char* option : {"--help", "--version"}) {
    const Finished finished = run(on_ranks(2, {option}));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_THAT(finished.out, HasSubstr("initrt"));
  }
}

class Plan : public WithSmolLM2 {};

TEST_F(Plan, IsWhatARunThenAllocatesAndReads) {
  const TemporaryDirectory directory;
  for (const char* communicator : {"mapped", "mpi"}) {
    const std::vector<std::string> job = {
        "--set", "model=" + smollm2(),
        "--set", "generate.prompt=Hello",
        "--set", "generate.max_new_tokens=3",
        "--set", std::string("sharding.communicator=") + communicator};
    std::vector<std::string> plan_arguments = {"plan", "--world", "3", "--json"};
    plan_arguments.insert(plan_arguments.end(), job.begin(), job.end());
    const Finished planned = run(alone(plan_arguments));
    ASSERT_EQ(planned.exit_code, 0) << planned.err;
    const auto plan = nlohmann::json::parse(planned.out);
    std::vector<std::string> run_arguments = job;
    run_arguments.insert(run_arguments.end(), {"--report", directory.file("r.json")});
    const Finished finished = run(on_ranks(3, run_arguments));
    ASSERT_EQ(finished.exit_code, 0) << finished.err;
    const auto report = nlohmann::json::parse(contents(directory.file("r.json")));
    EXPECT_EQ(plan.at("bytes_to_read"), report.at("load").at("bytes_requested"));
    ASSERT_EQ(plan.at("ranks").size(), 3u);
    for (const auto& rank : plan.at("ranks")) {
      EXPECT_EQ(rank.at("memory").at("total"), report.at("memory").at("peak").at("max"));
      EXPECT_EQ(rank.at("files"), 1);
    }
  }
}

TEST_F(Commands, StartWithoutLibrariesOfGpus) {
  const Finished finished = run({"ldd", program()});
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(finished.out,
              AllOf(HasSubstr("libmpi"), Not(HasSubstr("libcu")), Not(HasSubstr("libnccl"))));
}

TEST_F(Plan, IsMadeForGpusWhereThereAreNone) {
  const Finished finished = run(alone(
      {"plan", "--json", "--world", "2", "--set", "model=" + smollm2(), "--set",
       "generate.prompt=Hello", "--set", "device=cuda", "--set", "sharding.communicator=nccl"}));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const auto plan = nlohmann::json::parse(finished.out);
  EXPECT_EQ(plan.at("device"), "cuda");
  EXPECT_EQ(plan.at("communicator"), "nccl");
  const auto& memory = plan.at("ranks").at(0).at("memory");
  EXPECT_EQ(memory.at("conversion"), memory.at("staging"));
  EXPECT_GT(memory.at("pinned").get<std::uint64_t>(), 0u);
  const Finished table = run(alone({"plan", "--set", "model=" + smollm2(), "--set",
                                    "generate.prompt=Hello", "--set", "device=cuda"}));
  EXPECT_THAT(table.out, HasSubstr("is on its GPU and"));
}

TEST_F(Plan, PredictsTimesWhereSpeedsAreKnown) {
  std::vector<std::string> arguments = {"plan",
                                        "--world",
                                        "4",
                                        "--set",
                                        "model=" + smollm2(),
                                        "--set",
                                        "generate.prompt=Hello",
                                        "--set",
                                        "sharding.communicator=mpi"};
  EXPECT_THAT(run(alone(arguments)).out, Not(HasSubstr("at these speeds")));
  for (const char* speed : {"speeds.link=1e10", "speeds.latency=2e-5", "speeds.memory=2e10"}) {
    arguments.insert(arguments.end(), {"--set", speed});
  }
  EXPECT_THAT(run(alone(arguments)).out, HasSubstr("at these speeds a step of 1 sequence takes"));
  arguments.emplace_back("--json");
  const auto moves = nlohmann::json::parse(run(alone(arguments)).out).at("moves");
  const auto& times = moves.at("times");
  const double read = moves.at("product_bytes").get<double>() / 2e10;
  EXPECT_NEAR(times.at("weights").at("products_seconds").get<double>(), read, 1e-3 * read);
  EXPECT_NEAR(times.at("activations").at("products_seconds").get<double>(), read / 4, 1e-3 * read);
  EXPECT_GT(times.at("activations").at("moving_seconds").get<double>(),
            moves.at("exchanges").get<double>() * 2e-5);
}

TEST_F(Plan, IsATableForAPerson) {
  const Finished finished = run(alone(
      {"plan", "--set", "model=" + smollm2(), "--set", "generate.prompt=Hello", "--world", "2"}));
  EXPECT_THAT(finished.out, AllOf(HasSubstr("KV cache"), HasSubstr("staging"), HasSubstr("to read"),
                                  HasSubstr("of the payload")));
}

}  // namespace
}  // namespace initrt::testing
