// Bad input on several ranks: one line that says what is wrong, once, and a non-zero exit.
#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/integration/worlds.h"
#include "tests/support/small_llama.h"

namespace initrt::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A small safetensors checkpoint to spoil.
class BadInput : public ::testing::Test {
 protected:
  BadInput()
      : files_(write_safetensors(directory_.path(), model_, random_tensors(model_, 1), DType::F32,
                                 2)) {}

  [[nodiscard]] std::string first_file() const { return directory_.file(files_.front()); }

  // Header and rest of a safetensors file, changed by `edit` and written back.
  void edit_header(const std::function<void(nlohmann::ordered_json&)>& edit) const {
    const std::string bytes = contents(first_file());
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    auto header = nlohmann::ordered_json::parse(bytes.substr(8, length));
    edit(header);
    const std::string text = header.dump();
    length = text.size();
    std::string changed(8, '\0');
    std::memcpy(changed.data(), &length, 8);
    write(first_file(), changed + text + bytes.substr(8 + (bytes.size() - 8 - payload(bytes))));
  }
  static std::size_t payload(const std::string& bytes) {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    return bytes.size() - 8 - length;
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  // Two ranks score a few tokens; the job must end with this one line.
  void expect_line(const ::testing::Matcher<std::string>& line,
                   std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"score", "--set", "model=" + directory_.path(),
                                          "--tokens", "1,2,3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_line_of(arguments, line);
  }
  static void expect_line_of(const std::vector<std::string>& arguments,
                             const ::testing::Matcher<std::string>& line) {
    const Finished finished = run(on_ranks(2, arguments), {}, 20s);
    EXPECT_FALSE(finished.timed_out);
    EXPECT_NE(finished.exit_code, 0);
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.own_lines(), ElementsAre(line)) << finished.err;
    std::printf("ended after %lld ms\n", static_cast<long long>(finished.took.count()));
  }

  const SmallLlama model_;
  const TemporaryDirectory directory_;
  const std::vector<std::string> files_;
};

TEST_F(BadInput, GoodInputIsNone) {
  const Finished finished =
      run(on_ranks(2, {"score", "--set", "model=" + directory_.path(), "--tokens", "1,2,3"}));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("perplexity"));
}

TEST_F(BadInput, MissingModel) {
  expect_line_of({"score", "--set", "model=/nowhere/model", "--tokens", "1"},
                 HasSubstr("/nowhere/model"));
}

TEST_F(BadInput, MissingJobFile) {
  expect_line_of({"--config", "/nowhere/job.json"}, HasSubstr("/nowhere/job.json: no such file"));
}

TEST_F(BadInput, TokensThatAreNoIds) {
  for (const char* tokens : {"", "1,x", "-1"}) {
    expect_line_of(
        {"score", "--set", "model=" + directory_.path(), std::string("--tokens=") + tokens},
        HasSubstr("error: --tokens: "));
  }
}

TEST_F(BadInput, MissingFileOfTheIndex) {
  std::filesystem::remove(first_file());
  expect_line(HasSubstr(files_.front()));
}

TEST_F(BadInput, TruncatedFile) {
  std::filesystem::resize_file(first_file(), std::filesystem::file_size(first_file()) - 1000);
  expect_line(AllOf(HasSubstr(first_file()), HasSubstr("byte")));
}

TEST_F(BadInput, WrongMagic) {
  write(directory_.file("model.gguf"), "GGUX" + std::string(100, 'x'));
  expect_line_of({"score", "--set", "model=" + directory_.file("model.gguf"), "--tokens", "1"},
                 AllOf(HasSubstr("model.gguf"), HasSubstr("no checkpoint of a known format")));
}

TEST_F(BadInput, HeaderLongerThanTheFile) {
  std::string bytes = contents(first_file());
  const std::uint64_t length = bytes.size() + 1;
  std::memcpy(bytes.data(), &length, 8);
  write(first_file(), bytes);
  expect_line(AllOf(HasSubstr(first_file()), HasSubstr("the header ends at byte")));
}

TEST_F(BadInput, OverlappingOffsets) {
  edit_header([](auto& header) {
    auto first = header.begin(), second = std::next(first);
    while (!second->contains("data_offsets")) ++second;
    if (!first->contains("data_offsets")) first = second++;
    const std::uint64_t bytes = second->at("data_offsets")[1].template get<std::uint64_t>() -
                                second->at("data_offsets")[0].template get<std::uint64_t>();
    const auto begin = first->at("data_offsets")[0].template get<std::uint64_t>();
    (*second)["data_offsets"] = {begin, begin + bytes};
  });
  expect_line(AllOf(HasSubstr(first_file()), HasSubstr("tensor")));
}

TEST_F(BadInput, OffsetsOutOfRange) {
  edit_header([](auto& header) {
    for (auto& entry : header) {
      if (!entry.contains("data_offsets")) continue;
      entry["data_offsets"][0] =
          entry["data_offsets"][0].template get<std::uint64_t>() + (1ull << 40);
      entry["data_offsets"][1] =
          entry["data_offsets"][1].template get<std::uint64_t>() + (1ull << 40);
      break;
    }
  });
  expect_line(HasSubstr(first_file()));
}

TEST_F(BadInput, DtypeAndShapeThatDisagreeWithTheBytes) {
  edit_header([](auto& header) {
    for (auto& entry : header) {
      if (entry.contains("dtype")) entry["dtype"] = "BF16";
    }
  });
  expect_line(AllOf(HasSubstr(first_file()), HasSubstr("BF16")));
}

TEST_F(BadInput, MissingTensorsAreCountedAndNamedWithTheirNearest) {
  edit_header([](auto& header) {
    auto renamed = nlohmann::ordered_json::object();
    for (auto& [name, entry] : header.items()) renamed["x." + name] = entry;
    header = renamed;
  });
  const std::string index = directory_.file("model.safetensors.index.json");
  auto map = nlohmann::json::parse(contents(index));
  auto renamed = nlohmann::json::object();
  for (auto& [name, file] : map["weight_map"].items()) {
    renamed[(file == files_.front() ? "x." : "") + name] = file;
  }
  map["weight_map"] = renamed;
  write(index, map.dump());
  expect_line(AllOf(HasSubstr("tensors are missing: "), HasSubstr("the nearest name is \"x."),
                    HasSubstr("all with --verbose")));
  expect_line(AllOf(HasSubstr("tensors are missing: "), ::testing::Not(HasSubstr("--verbose"))),
              {"--verbose"});
}

TEST_F(BadInput, ShapesThatDisagreeWithTheConfig) {
  auto config = config_of(model_);
  config["intermediate_size"] = 37;
  write(directory_.file("config.json"), config.dump());
  expect_line(AllOf(HasSubstr("37"), HasSubstr("36"), HasSubstr("mlp")));
}

TEST_F(BadInput, UnknownConfigKey) {
  expect_line(HasSubstr("unknown key \"generate.sead\", did you mean \"generate.seed\"?"),
              {"--set", "generate.sead=3"});
}

TEST_F(BadInput, UnknownArchitecture) {
  auto config = config_of(model_);
  config["architectures"] = {"MambaForCausalLM"};
  write(directory_.file("config.json"), config.dump());
  expect_line(
      AllOf(HasSubstr("unknown architecture \"MambaForCausalLM\""), HasSubstr("LlamaForCausalLM")));
}

TEST_F(BadInput, NoConfig) {
  std::filesystem::remove(directory_.file("config.json"));
  expect_line(HasSubstr("model_config"));
}

TEST_F(BadInput, UnknownOption) { expect_line_of({"--confog", "x"}, HasSubstr("--confog")); }

TEST_F(BadInput, TokensOutsideTheVocabulary) {
  expect_line_of({"score", "--set", "model=" + directory_.path(), "--tokens", "1,509"},
                 HasSubstr("token id 509 is outside the model's vocabulary of 509"));
}

TEST_F(BadInput, ABudgetBelowTheLeast) {
  expect_line(HasSubstr("memory.budget is 1000000 bytes, but this job needs at least"),
              {"--set", "memory.budget=1MB"});
}

TEST_F(BadInput, ReportThatCannotBeWritten) {
  const Finished finished = run(on_ranks(2, {"score", "--set", "model=" + directory_.path(),
                                             "--tokens", "1,2", "--report", "/nowhere/r.json"}));
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_THAT(finished.own_lines(), ElementsAre(HasSubstr("/nowhere/r.json")));
}

TEST_F(BadInput, UnexpectedTensorsAreSkippedWithOneWarningAndRefusedWhenStrict) {
  auto config = config_of(model_);
  config["num_hidden_layers"] = model_.layers - 1;
  write(directory_.file("config.json"), config.dump());
  const std::vector<std::string> arguments = {"score", "--set", "model=" + directory_.path(),
                                              "--tokens", "1,2,3"};
  const Finished finished = run(on_ranks(2, arguments));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(finished.own_lines(),
              ElementsAre(AllOf(HasSubstr("warning"), HasSubstr("not used by this model"))));
  expect_line(AllOf(HasSubstr("not used by this model"), HasSubstr("load.strict")),
              {"--set", "load.strict=true"});
}

class BadPrompt : public WithSmolLM2 {
 protected:
  static void expect_line(const std::vector<std::string>& settings,
                          const ::testing::Matcher<std::string>& line) {
    std::vector<std::string> arguments = {"--set", "model=" + smollm2()};
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    const Finished finished = run(on_ranks(2, arguments), {}, 20s);
    EXPECT_NE(finished.exit_code, 0);
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.own_lines(), ElementsAre(line)) << finished.err;
  }
};

TEST_F(BadPrompt, None) { expect_line({}, HasSubstr("no prompt: set generate.prompt")); }

TEST_F(BadPrompt, EmptyAmongSeveral) {
  expect_line({R"(generate.prompts=["a",""])"}, HasSubstr("prompt 1 is empty"));
}

TEST_F(BadPrompt, LongerThanTheContext) {
  expect_line(
      {"generate.prompt=one two three four", "generate.context=3", "generate.max_new_tokens=1"},
      AllOf(HasSubstr("prompt 0 has 4 tokens"), HasSubstr("generate.context is 3")));
}

TEST_F(BadPrompt, BeyondTheModelsContext) {
  expect_line({"generate.prompt=Hi", "generate.max_new_tokens=9000"}, HasSubstr("8192"));
}

TEST_F(BadPrompt, ContextBeyondTheModels) {
  expect_line({"generate.prompt=Hi", "generate.context=9000"}, HasSubstr("8192"));
}

}  // namespace
}  // namespace initrt::testing
