// The same weights in every format, as the libraries that people's files come from wrote them
// (make_checkpoint_references.py): each gives the same canonical units, on one rank and on three.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/sharding/errors.h"
#include "tests/support/process.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

std::string golden(const std::string& path) {
  return source_path("tests/golden/checkpoints/" + path);
}

// One checkpoint that people have, and what it must be recognised as.
struct Golden {
  const char* path;
  const char* reference;  // the same weights as Hugging Face has them
  const char* format;
  const char* naming;
  std::uint32_t skipped = 0;  // tensors that no model needs
};

std::ostream& operator<<(std::ostream& out, const Golden& golden) { return out << golden.path; }

class Checkpoints : public ::testing::TestWithParam<Golden> {};

TEST_P(Checkpoints, GiveTheCanonicalUnits) {
  const Golden& expected = GetParam();
  const std::pair<const char*, const char*> holdings[] = {
      {"32-true", "none"}, {"bf16-true", "none"}, {"bf16-true", "llm.int8"}, {"16-true", "nf4"}};
  for (const auto& [precision, quantize] : holdings) {
    const Units units =
        units_of(open_checkpoint_as(golden(expected.reference), precision, quantize), {});
    const OpenModel model = open_checkpoint_as(golden(expected.path), precision, quantize);
    EXPECT_EQ(model.catalog.format, expected.format);
    EXPECT_EQ(model.bindings.naming, expected.naming);
    EXPECT_EQ(model.bindings.skipped, expected.skipped);
    EXPECT_THAT(model.bindings.unexpected, ::testing::IsEmpty());
    for (const std::uint32_t world : {1u, 3u}) {
      Setting setting;
      setting.world = world;
      setting.transport = world == 1 ? Transport::Self : Transport::Mapped;
      EXPECT_TRUE(units_of(model, setting) == units)
          << precision << ", " << quantize << ", " << setting;
    }
  }
}

std::string test_name(const ::testing::TestParamInfo<Golden>& info) {
  std::string name = info.param.path;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Gqa, Checkpoints,
    ::testing::Values(Golden{"gqa/hf", "gqa/hf", "safetensors", "huggingface"},
                      Golden{"gqa/hf/model.safetensors", "gqa/hf", "safetensors", "huggingface"},
                      Golden{"gqa/hf_sharded", "gqa/hf", "safetensors", "huggingface"},
                      Golden{"gqa/bin", "gqa/hf", "pytorch", "huggingface"},
                      Golden{"gqa/bin/pytorch_model.bin", "gqa/hf", "pytorch", "huggingface"},
                      Golden{"gqa/bin_sharded", "gqa/hf", "pytorch", "huggingface"},
                      Golden{"gqa/bin_legacy", "gqa/hf", "pytorch", "huggingface"},
                      Golden{"gqa/bin_views", "gqa/hf", "pytorch", "huggingface", 2},
                      Golden{"gqa/lit_gpt_old", "gqa/hf", "lit", "lit-gpt"},
                      Golden{"gqa/lit_gpt", "gqa/hf", "lit", "lit-gpt-stacked"},
                      Golden{"gqa/lit_gpt_trained", "gqa/hf", "lit", "lit-gpt-stacked"},
                      Golden{"gqa/meta", "gqa/hf", "meta", "meta", 1},
                      Golden{"gqa/meta/consolidated.00.pth", "gqa/hf", "meta", "meta", 1},
                      Golden{"gqa/meta3", "gqa/hf", "meta", "meta", 1},
                      Golden{"gqa/gguf", "gqa/hf", "gguf", "gguf"},
                      Golden{"gqa/gguf_split", "gqa/hf", "gguf", "gguf"},
                      Golden{"gqa/gguf_split/model-00001-of-00003.gguf", "gqa/hf", "gguf", "gguf"},
                      Golden{"gqa/dcp", "gqa/hf", "dcp", "huggingface"},
                      Golden{"gqa/dcp_2d", "gqa/hf", "dcp", "huggingface", 14}),
    test_name);

INSTANTIATE_TEST_SUITE_P(
    Tied, Checkpoints,
    ::testing::Values(Golden{"gqa_tied/hf", "gqa_tied/hf", "safetensors", "huggingface"},
                      Golden{"gqa_tied/bin", "gqa_tied/hf", "pytorch", "huggingface", 1}),
    test_name);

INSTANTIATE_TEST_SUITE_P(Mha, Checkpoints,
                         ::testing::Values(Golden{"mha/lit_llama", "mha/hf", "lit", "lit-llama"},
                                           Golden{"mha/lit_llama/lit-llama.pth", "mha/hf", "lit",
                                                  "lit-llama"},
                                           Golden{"mha/gguf", "mha/hf", "gguf", "gguf"}),
                         test_name);

TEST(TiedCheckpoints, OneStorageUnderTwoNamesIsHeldAndReadOnceWhateverTheConfigSays) {
  const TemporaryDirectory directory;
  std::filesystem::copy(golden("gqa_tied/bin"), directory.path());
  const std::string config = directory.file("config.json");
  nlohmann::json json = nlohmann::json::parse(contents(config));
  json["tie_word_embeddings"] = false;
  std::ofstream(config, std::ios::trunc) << json;
  const OpenModel model = open_checkpoint_as(directory.path(), "bf16-true");
  const OpenModel tied = open_checkpoint_as(golden("gqa_tied/hf"), "bf16-true");
  EXPECT_EQ(model.bindings.payload_bytes, tied.bindings.payload_bytes);
  EXPECT_TRUE(units_of(model, {}) == units_of(tied, {}));
}

TEST(TiedCheckpoints, TheTableMayBeThereUnderTheHeadsNameAlone) {
  const TemporaryDirectory directory;
  std::filesystem::copy(golden("gqa_tied/hf"), directory.path());
  const std::string path = directory.file("model.safetensors");
  std::string bytes = contents(path);
  const std::string name = "model.embed_tokens.weight", other = "lm_head.weight";
  const std::size_t at = bytes.find("\"" + name + "\"");
  ASSERT_NE(at, std::string::npos);
  // The header keeps its length: JSON may have spaces anywhere.
  bytes.replace(at, name.size() + 2,
                "\"" + other + "\"" + std::string(name.size() - other.size(), ' '));
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_TRUE(units_of(open_checkpoint_as(directory.path(), "bf16-true"), {}) ==
              units_of(open_checkpoint_as(golden("gqa_tied/hf"), "bf16-true"), {}));
}

TEST(DistributedCheckpoints, AreFoundWhereAccelerateLeavesThem) {
  const TemporaryDirectory directory;
  const std::string inner = directory.file("pytorch_model_fsdp_0");
  std::filesystem::copy(golden("gqa/dcp_2d"), inner);
  std::filesystem::rename(inner + "/config.json", directory.file("config.json"));
  const Units units = units_of(open_checkpoint_as(golden("gqa/hf"), "bf16-true"), {});
  for (const std::string& path : {directory.path(), inner, inner + "/", inner + "/.metadata"}) {
    const OpenModel model = open_checkpoint_as(path, "bf16-true");
    EXPECT_EQ(model.catalog.format, "dcp");
    EXPECT_TRUE(units_of(model, {}) == units) << path;
  }
}

// A pickle can name any function of Python's. None is ever called: there is nothing here to call
// it.
TEST(HostileCheckpoints, AreRefusedByTheGlobalTheyName) {
  const auto error_of_file = [](const char* name) {
    return error_of(
        [&] { (void)open_checkpoint_as(golden(std::string("hostile/") + name), "32-true"); });
  };
  EXPECT_THAT(error_of_file("os_system.pth"), HasSubstr("\"posix.system\""));
  EXPECT_THAT(error_of_file("eval.pth"), HasSubstr("\"__builtin__.eval\""));
  EXPECT_THAT(error_of_file("nested_reduce.pth"), HasSubstr("\"__builtin__.getattr\""));
  EXPECT_THAT(error_of_file("after_tensors.pth"), HasSubstr("\"posix.system\""));
  EXPECT_THAT(error_of_file("legacy.pth"), HasSubstr("\"posix.system\""));
  EXPECT_THAT(error_of_file("dcp"), HasSubstr("\"posix.system\""));
}

}  // namespace
}  // namespace initrt::testing
