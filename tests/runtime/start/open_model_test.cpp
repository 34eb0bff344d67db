// Which checkpoint of a directory a model is made of, and what is said where none will do.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/start/without_weights.h"
#include "runtime/storage/local_files.h"
#include "runtime/values/tensor_listing.h"
#include "tests/sharding/errors.h"
#include "tests/support/rank_model.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

constexpr std::string_view kIndex = "model.safetensors.index.json";

/// A small LLaMA in two shards with an index.
class OpenModelOf : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path(std::string_view name) const {
    return checkpoint_.directory.path() + "/" + std::string(name);
  }
  [[nodiscard]] nlohmann::json index() const {
    return nlohmann::json::parse(std::ifstream(path(kIndex)));
  }
  void write_index(const nlohmann::json& index) const { std::ofstream(path(kIndex)) << index; }
  [[nodiscard]] OpenModel open() const {
    return open_checkpoint_as(checkpoint_.directory.path(), "32-true");
  }

  SmallCheckpoint checkpoint_;
};

TEST_F(OpenModelOf, AnIndexThatNamesMoreThanTheModelNeeds) {
  nlohmann::json stale = index();
  stale["weight_map"]["mtp.fc.weight"] = "model-00003-of-00003.safetensors";
  write_index(stale);
  const OpenModel model = open();
  EXPECT_EQ(model.catalog.absent_tensors.size(), 1u);
  EXPECT_EQ(model.catalog.absent_files.size(), 1u);
  LocalFiles files;
  EXPECT_TRUE(list_tensors(files, checkpoint_.directory.path(), "", false).canonical);
  const Catalog stored = list_tensors(files, checkpoint_.directory.path(), "", true).catalog;
  EXPECT_NE(stored.choice.find("the index names 1 tensor that no file holds"), std::string::npos)
      << stored.choice;
}

TEST_F(OpenModelOf, AnIncompleteDownloadNamesTensorAndFile) {
  std::filesystem::remove(path(checkpoint_.files[1]));
  const std::string text = error_of([&] { (void)open(); });
  EXPECT_NE(text.find("missing: \""), std::string::npos) << text;
  EXPECT_NE(text.find("(should be in \"" + checkpoint_.files[1] + "\")"), std::string::npos)
      << text;
  EXPECT_NE(text.find("a file is not there, download it: \"" + checkpoint_.files[1] + "\""),
            std::string::npos)
      << text;
}

TEST_F(OpenModelOf, AnotherCompleteCopyIsFoundWhereTheIndexsIsNot) {
  std::filesystem::create_directory(path("other"));
  for (const std::string& name :
       write_safetensors(path("other"), checkpoint_.model, checkpoint_.tensors, DType::F32, 3)) {
    std::filesystem::rename(path("other/" + name), path(name));
  }
  std::filesystem::remove(path(checkpoint_.files[0]));
  const OpenModel model = open();
  EXPECT_EQ(model.catalog.files.size(), 3u);
  EXPECT_NE(model.catalog.choice.find(", not the files of model.safetensors.index.json ("),
            std::string::npos)
      << model.catalog.choice;
}

TEST_F(OpenModelOf, APlanTakesWhatARunTakes) {
  SafetensorsWriter writer;  // tried first, and no model
  writer.add("v_head.weight", DType::F32, {1}, {1});
  writer.write(path("model.safetensors"));
  LocalFiles files;
  ModelOptions options;
  options.path = checkpoint_.directory.path();
  EXPECT_EQ(open_model_or_config(files, options).catalog.files.size(), checkpoint_.files.size());
  for (const std::string& name : checkpoint_.files) std::filesystem::remove(path(name));
  std::filesystem::remove(path("model.safetensors"));
  EXPECT_EQ(open_model_or_config(files, options).catalog.format, kNoWeights);
}

TEST_F(OpenModelOf, ADirectoryWithAnAdapterAlone) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() + "/adapter_config.json")
      << R"({"peft_type": "LORA", "base_model_name_or_path": "org/base"})";
  SafetensorsWriter writer;
  writer.add("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", DType::F32, {1, 2},
             {1, 2});
  writer.write(directory.path() + "/adapter_model.safetensors");
  EXPECT_NE(error_of([&] {
              (void)open_checkpoint_as(directory.path(), "32-true");
            }).find("an adapter (LORA) of the model \"org/base\""),
            std::string::npos);
}

}  // namespace
}  // namespace initrt::testing
