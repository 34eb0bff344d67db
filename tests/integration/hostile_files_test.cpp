// Files made to do harm: each ends in one line, soon, in little memory, whatever it promises or is.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/integration/worlds.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Matcher;

// With a sanitizer's shadow memory; without, a few MB.
constexpr std::uint64_t kMaxMemory = 512u << 20;
constexpr std::uint64_t kHuge = 1ull << 60;

class HostileFiles : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(directory_.file(name), std::ios::binary | std::ios::trunc) << bytes;
  }

  void expect_line(const std::string& path, const Matcher<std::string>& line) const {
    const Finished finished = run(alone({"inspect", path}), {}, 10s);
    EXPECT_FALSE(finished.timed_out) << path;
    EXPECT_EQ(finished.exit_code, 1) << path;
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.own_lines(), ElementsAre(line)) << finished.err;
    EXPECT_LT(finished.peak_bytes, kMaxMemory);
    std::printf("ended after %lld ms, %llu MB\n", static_cast<long long>(finished.took.count()),
                static_cast<unsigned long long>(finished.peak_bytes >> 20));
  }
  void expect_line_of(const std::string& name, const std::string& bytes,
                      const Matcher<std::string>& line) const {
    write(name, bytes);
    expect_line(directory_.file(name), line);
  }

  const TemporaryDirectory directory_;
};

TEST_F(HostileFiles, CountsOfTwoToTheSixtyAreNotBelieved) {
  expect_line_of("a.safetensors", raw(kHuge) + "{" + std::string(64, ' '),
                 HasSubstr("no checkpoint of a known format"));
  expect_line_of("b.safetensors", raw<std::uint64_t>(1ull << 39) + "{", HasSubstr("longer than"));
  GgufWriter tensors;
  tensors.extra_tensors = kHuge;
  expect_line_of("c.gguf", tensors.file(0), HasSubstr("tensors"));
  GgufWriter keys;
  keys.extra_keys = kHuge;
  expect_line_of("d.gguf", keys.file(0), HasSubstr("metadata keys"));
  expect_line_of(
      "e.gguf",
      GgufWriter().pair("a", kArray, raw<std::uint32_t>(kU8) + raw<std::uint64_t>(kHuge)).file(0),
      HasSubstr("does not fit"));
}

TEST_F(HostileFiles, SizesThatOverflowAreErrors) {
  const std::string shape = "[4294967296, 4294967296, 4294967296]";
  expect_line_of(
      "a.safetensors",
      safetensors_file(
          R"({"t": {"dtype": "F32", "shape": )" + shape + R"(, "data_offsets": [0, 8]}})", 8),
      HasSubstr("64 bits"));
  expect_line_of("b.gguf", GgufWriter().tensor("t", {1ull << 33, 1ull << 33}, kGgmlF32, 0).file(64),
                 HasSubstr("64 bits"));
}

TEST_F(HostileFiles, NestingWithoutEndIsCut) {
  const std::string deep(200'000, '[');
  expect_line_of("a.safetensors", safetensors_file("{\"t\": " + deep, 0), HasSubstr("an array"));
  write("model.safetensors", safetensors_file("{}", 0));
  expect_line_of("model.safetensors.index.json", deep, HasSubstr("nested more than 64 deep"));
  std::filesystem::remove(directory_.file("a.safetensors"));
  std::filesystem::remove(directory_.file("model.safetensors.index.json"));
  write("config.json", deep);
  expect_line(directory_.path(), HasSubstr("nested more than 64 deep"));
}

TEST_F(HostileFiles, KeysGivenTwiceAreErrors) {
  expect_line_of("a.safetensors",
                 safetensors_file(R"({"t": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},)"
                                  R"("t": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})",
                                  1),
                 HasSubstr("appears twice"));
  expect_line_of("m.safetensors.index.json", R"({"weight_map": {"a": "x", "a": "y"}})",
                 HasSubstr("appears twice"));
  expect_line_of("m.bin.index.json", R"({"weight_map": {"a": "x", "a": "y"}})",
                 HasSubstr("appears twice"));
}

TEST_F(HostileFiles, NamesInAnIndexLeadNowhereElse) {
  for (const char* name :
       {"/etc/passwd", "../model.safetensors", "a/../../b", "..", "sub/../../x"}) {
    for (const char* index : {"m.safetensors.index.json", "m.bin.index.json"}) {
      expect_line_of(index, std::string(R"({"weight_map": {"a": ")") + name + R"("}})",
                     HasSubstr("no file of the index's folder"));
    }
  }
}

TEST_F(HostileFiles, WhatIsNoFileIsNotRead) {
  expect_line("/dev/zero", HasSubstr("neither a regular file nor a directory"));
  const std::string fifo = directory_.file("fifo.bin");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  expect_line(fifo, HasSubstr("neither a regular file nor a directory"));
  const std::string loop = directory_.file("loop");
  std::filesystem::create_symlink(loop, loop);
  expect_line(loop, HasSubstr("Too many levels of symbolic links"));
}

TEST_F(HostileFiles, WhatIsNoFileInAFilesPlaceIsAnError) {
  write("m.safetensors.index.json", R"({"weight_map": {"a": "fifo"}})");
  ASSERT_EQ(mkfifo(directory_.file("fifo").c_str(), 0600), 0);
  expect_line(directory_.file("m.safetensors.index.json"), HasSubstr("fifo"));
  write("m.bin.index.json", R"({"weight_map": {"a": "zero"}})");
  std::filesystem::create_symlink("/dev/zero", directory_.file("zero"));
  expect_line(directory_.file("m.bin.index.json"), HasSubstr("zero"));
  write("params.json", R"({"dim": 8})");
  std::filesystem::create_directory(directory_.file("consolidated.00.pth"));
  expect_line(directory_.file("consolidated.00.pth/../params.json"),
              HasSubstr("no checkpoint of a known format"));
  write("n.safetensors.index.json", R"({"weight_map": {"a": "loop"}})");
  std::filesystem::create_symlink("loop", directory_.file("loop"));
  expect_line(directory_.file("n.safetensors.index.json"),
              HasSubstr("Too many levels of symbolic links"));
}

// Hugging Face's cache is a directory of links to files of other names.
TEST_F(HostileFiles, LinksThatAUserPlacedAreFollowed) {
  const std::string golden = source_path("tests/golden/checkpoints/gqa/hf");
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(golden + "/" + name, directory_.file(name));
  }
  const Finished finished = run(alone({"verify", directory_.path(), "--against", golden}));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
}

TEST_F(HostileFiles, NothingThatAPickleNamesIsRun) {
  const std::string made = directory_.file("made");
  for (const char* name : {"os_system.pth", "eval.pth", "nested_reduce.pth", "after_tensors.pth",
                           "legacy.pth", "dcp"}) {
    const std::string path = source_path("tests/golden/checkpoints/hostile/" + std::string(name));
    const Finished finished = run(alone({"inspect", path}), {{"INITRT_HOSTILE", made}});
    EXPECT_EQ(finished.exit_code, 1) << name;
    EXPECT_THAT(finished.own_lines(), ElementsAre(HasSubstr("nothing of it was run")));
    EXPECT_FALSE(std::filesystem::exists(made)) << name;
  }
}

}  // namespace
}  // namespace initrt::testing
