// What is written, where it goes, and that it is told where it cannot be.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/integration/worlds.h"
#include "tests/support/small_llama.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kTokenizer = source_path("tests/integration/tokenizer.json");

// A command whose standard output goes to a device that is always full.
std::vector<std::string> into_a_full_device(std::vector<std::string> command) {
  command.insert(command.begin(), {"sh", "-c", "exec \"$0\" \"$@\" > /dev/full"});
  return command;
}

class Output : public ::testing::Test {
 protected:
  Output() { write_safetensors(model_, small_, random_tensors(small_, 3), DType::F32, 2); }

  [[nodiscard]] std::vector<std::string> score(std::vector<std::string> more) const {
    more.insert(more.begin(), {"score", "--set", "model=" + model_, "--tokens", "1,2,3"});
    return more;
  }
  [[nodiscard]] std::vector<std::string> plan(std::vector<std::string> more) const {
    more.insert(more.begin(),
                {"plan", "--set", "model=" + model_, "--set", "tokenizer=" + kTokenizer, "--set",
                 "generate.prompt=Hello", "--set", "generate.max_new_tokens=1"});
    return more;
  }

  const SmallLlama small_;
  const TemporaryDirectory directory_, model_directory_;
  const std::string& model_ = model_directory_.path();
};

TEST_F(Output, AFullStandardOutputIsAnError) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--help"}, {"--version"}, {"schema"}, {"inspect", model_}, plan({}), score({})}) {
    const Finished finished = run(into_a_full_device(alone(arguments)));
    EXPECT_NE(finished.exit_code, 0) << arguments.front();
    EXPECT_THAT(
        finished.own_lines(),
        ElementsAre("initrt: error: standard output cannot be written: No space left on device"))
        << arguments.front() << ": " << finished.err;
  }
}

TEST_F(Output, PromptsOfStandardInputAreAnsweredAsThoseOfAFile) {
  const std::string prompts = directory_.file("prompts.jsonl");
  std::ofstream(prompts) << "\"Hello\"\n{\"prompt\": \"a b\", \"max_new_tokens\": 2}\n";
  const auto answers = [&](const std::string& from, bool ranks) {
    const std::vector<std::string> arguments = {
        "--set", "model=" + model_,           "--set", "tokenizer=" + kTokenizer,
        "--set", "generate.max_new_tokens=3", "--set", "generate.prompts=" + from};
    std::vector<std::string> command = ranks ? on_ranks(2, arguments) : alone(arguments);
    command.insert(command.begin(), {"sh", "-c", "cat " + prompts + " | \"$0\" \"$@\""});
    const Finished finished = run(command);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return finished.out;
  };
  const std::string expected = answers(prompts, false);
  EXPECT_THAT(expected, HasSubstr("\"prompt\":\"a b\""));
  EXPECT_EQ(answers("/dev/stdin", false), expected);
  EXPECT_EQ(answers("-", true), expected);
}

TEST_F(Output, ReportsAndLogitsGoThroughLinksAndFifos) {
  const std::string link = directory_.file("link"), target = directory_.file("target"),
                    fifo = directory_.file("fifo"), copy = directory_.file("copy");
  fs::create_symlink("target", link);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::vector<std::string> command = alone(score({"--report", link, "--logits", fifo}));
  command.insert(command.begin(),
                 {"sh", "-c", "cat '" + fifo + "' > '" + copy + "' & \"$0\" \"$@\" && wait"});
  const Finished finished = run(command);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_TRUE(nlohmann::json::parse(contents(target)).contains("load"));
  EXPECT_TRUE(fs::is_fifo(fifo));
  EXPECT_EQ(contents(copy).size(), 128 + 3 * 509 * sizeof(float));
}

TEST_F(Output, AReportToStandardOutputFollowsTheResult) {
  const Finished finished = run(alone(score({"--report", "/proc/self/fd/1"})));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(finished.out, StartsWith("tokens 3\n"));
  EXPECT_TRUE(nlohmann::json::accept(finished.out.substr(finished.out.find('{'))));
}

TEST_F(Output, ControlCharactersInNamesAreEscaped) {
  const std::string name = "x\ny\x1b[31m";
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--config", name},
                                             {"inspect", name},
                                             {name},
                                             {"--progress", name},
                                             score({"--report", "/nowhere/" + name})}) {
    for (const int ranks : {0, 2}) {
      const Finished finished = run(ranks == 0 ? alone(arguments) : on_ranks(ranks, arguments));
      EXPECT_NE(finished.exit_code, 0);
      EXPECT_THAT(finished.own_lines(), ElementsAre(HasSubstr("x\\ny\\x1b[31m"))) << finished.err;
      EXPECT_THAT(finished.err, Not(HasSubstr(name)));
    }
  }
}

TEST_F(Output, ConvertOverwritesNothing) {
  const std::string out = directory_.file("converted"), taken = out + "/tokenizer.json";
  const std::vector<std::string> command =
      alone({"convert", model_, out, "--to", "safetensors", "--tokenizer", kTokenizer});
  fs::create_directory(out);
  fs::copy_file(kTokenizer, taken);
  fs::resize_file(taken, 10);
  const std::string before = contents(taken);
  const Finished finished = run(command);
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_THAT(finished.own_lines(), ElementsAre(AllOf(HasSubstr(taken), HasSubstr("exists"))));
  EXPECT_EQ(contents(taken), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(out), fs::directory_iterator()), 1);
  fs::remove(taken);
  const Finished again = run(command);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  for (const auto& entry : fs::directory_iterator(out)) {
    EXPECT_THAT(entry.path().string(), Not(EndsWith(".part")));
  }
}

TEST_F(Output, APlanIsOfTheLaunchersWorldUnlessAnotherIsNamed) {
  const auto planned = [&](int ranks, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = plan({"--json"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished finished = run(ranks == 0 ? alone(arguments) : on_ranks(ranks, arguments));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    const auto plan = nlohmann::json::parse(finished.out);
    return std::pair(plan.at("world").get<int>(), plan.at("communicator").get<std::string>());
  };
  EXPECT_EQ(planned(0, {}), std::pair(1, std::string("self")));
  EXPECT_EQ(planned(3, {}), std::pair(3, std::string("mapped")));
  EXPECT_EQ(planned(2, {"--world", "4"}), std::pair(4, std::string("mapped")));
  EXPECT_EQ(planned(2, {"--nodes", "2"}), std::pair(2, std::string("mpi")));
  EXPECT_EQ(planned(0, {"--world", "4", "--nodes", "2"}), std::pair(4, std::string("mpi")));
}

TEST_F(Output, APlanSaysWhatItAssumes) {
  const auto first_line = [&](const std::vector<std::string>& more) {
    const std::string out = run(alone(plan(more))).out;
    return out.substr(0, out.find('\n'));
  };
  EXPECT_THAT(first_line({"--world", "4"}), EndsWith("4 ranks on one node, communicator mapped"));
  EXPECT_THAT(first_line({"--world", "4", "--nodes", "2"}),
              EndsWith("4 ranks on several nodes, communicator mpi"));
  const Finished finished = run(alone(plan({"--nodes", "2"})));
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_THAT(finished.own_lines(),
              ElementsAre(HasSubstr("--nodes is 2, more than the ranks (1)")));
}

// A pager on its first page: three times the timeout passes without a look at the pipe.
TEST_F(Output, AReaderThatStallsIsNoStallOfTheJob) {
  const std::string fifo = directory_.file("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(fcntl(reader, F_SETPIPE_SZ, 4096), 0);
  std::string prompts = "generate.prompts=[\"Hello\"";
  for (int i = 1; i < 60; ++i) prompts += ",\"Hello, my name is number " + std::to_string(i) + "\"";
  std::vector<std::string> command =
      on_ranks(2, {"--set", "model=" + model_, "--set", "tokenizer=" + kTokenizer, "--set",
                   prompts + "]", "--set", "generate.max_new_tokens=2", "--set", "timeout=1"});
  const std::vector<std::string> shell = {
      "sh", "-c",
      "[ $OMPI_COMM_WORLD_RANK = 0 ] && exec \"$0\" \"$@\" > '" + fifo + "' || exec \"$0\" \"$@\""};
  command.insert(command.begin() + 3, shell.begin(), shell.end());
  Process job(command);
  int waiting = 0;
  for (int i = 0; i < 3000 && waiting == 0; ++i) {
    ASSERT_EQ(ioctl(reader, FIONREAD, &waiting), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::this_thread::sleep_for(std::chrono::seconds(3));
  std::string text, some(4096, '\0');
  for (int i = 0; i < 3000; ++i) {
    const ssize_t got = read(reader, some.data(), some.size());
    if (got == 0) break;
    if (got > 0) text.append(some, 0, static_cast<std::size_t>(got));
    if (got < 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  close(reader);
  const Finished finished = job.wait(std::chrono::seconds(20));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 60);
}

// A command in which /dev/shm has 5 MB: each of two ranks' 4 MiB fits by itself.
std::vector<std::string> with_little_shared_memory(std::vector<std::string> command) {
  command.insert(command.begin(),
                 {"unshare", "-m", "sh", "-c",
                  "mount -t tmpfs -o size=5m tmpfs /dev/shm && exec \"$0\" \"$@\""});
  return command;
}

TEST_F(Output, MessagesThatMayOutgrowSharedMemoryAreWarnedOf) {
  if (run(with_little_shared_memory({"true"})).exit_code != 0) {
    GTEST_SKIP() << "this user may mount nothing";
  }
  const auto told = [&](const char* communicator) {
    const Finished finished = run(with_little_shared_memory(
        on_ranks(2, score({"--progress", "off", "--set",
                           std::string("sharding.communicator=") + communicator}))));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return finished.own_lines();
  };
  EXPECT_THAT(
      told("mpi"),
      Contains(HasSubstr(
          "initrt: rank 0: warning: MPI's messages between the 2 ranks of a node may take 8")));
  EXPECT_THAT(told("mapped"), Not(Contains(HasSubstr("/dev/shm"))));
}

}  // namespace
}  // namespace initrt::testing
