// Which of several checkpoints in a directory is opened, and what is said about it.
#include <gtest/gtest.h>

#include "sharding/checkpoint/catalog.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/checkpoint/scalars.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::MemoryFiles;
using testing::scalars;

using Names = std::vector<std::string>;

/// A check that asks for these tensors.
CatalogCheck needs(const Names& names) {
  return [names](const Catalog& catalog) {
    for (const std::string& name : names) {
      if (catalog.find(name) < 0) throw UnfitCheckpoint("no " + name);
    }
  };
}

Catalog open(MemoryFiles& files, const Names& names = {"a", "b", "c"}) {
  return open_checkpoint(files, "d", "", needs(names));
}

Names files_of(const Catalog& catalog) {
  Names names;
  for (const CheckpointFile& file : catalog.files) names.push_back(file.path);
  return names;
}

std::string torch_file(const Names& names) {
  testing::PyItems items;
  std::vector<std::string> storages;
  for (const std::string& name : names) {
    const testing::PyTensor tensor{
        testing::py_storage("FloatStorage", std::to_string(storages.size()), 1), 0, {1}, {1}};
    items.emplace_back(testing::py_string(name), tensor.call());
    storages.emplace_back(4, 'x');
  }
  return testing::torch_archive(testing::pickle(testing::py_dict(items)), storages).file();
}

constexpr const char* kIndex = "d/model.safetensors.index.json";
constexpr const char* kTwoShards =
    R"({"weight_map": {"a": "model-00001-of-00002.safetensors",
                       "b": "model-00001-of-00002.safetensors",
                       "c": "model-00002-of-00002.safetensors"}})";

/// A directory with the two shards of kTwoShards and the index.
MemoryFiles two_shards() {
  MemoryFiles files;
  files.content[kIndex] = kTwoShards;
  files.content["d/model-00001-of-00002.safetensors"] = scalars({"a", "b"});
  files.content["d/model-00002-of-00002.safetensors"] = scalars({"c"});
  return files;
}

TEST(Choice, TheSingleFileIsTakenBeforeTheIndexAsTransformersDoes) {
  MemoryFiles files = two_shards();
  EXPECT_EQ(open(files).choice, "");
  files.content["d/model.safetensors"] = scalars({"a", "b", "c"});
  const Catalog catalog = open(files);
  EXPECT_EQ(files_of(catalog), (Names{"d/model.safetensors"}));
  EXPECT_EQ(catalog.choice,
            "d holds several checkpoints: reading model.safetensors, not the files of "
            "model.safetensors.index.json, nor model-*-of-00002.safetensors");
}

TEST(Choice, ASingleFileThatLacksWhatIsNeededGivesWayToTheShards) {
  MemoryFiles files = two_shards();
  files.content["d/model.safetensors"] = scalars({"a"});
  const Catalog catalog = open(files);
  EXPECT_EQ(catalog.files.size(), 2u);
  EXPECT_EQ(catalog.choice,
            "d: reading the files of model.safetensors.index.json, not model.safetensors (no b)");
}

TEST(Choice, ASingleFileBesideAStaleIndexIsRead) {
  MemoryFiles files;
  files.content[kIndex] = kTwoShards;
  files.content["d/model.safetensors"] = scalars({"a", "b", "c"});
  EXPECT_EQ(open(files).tensors.size(), 3u);
  files.content["d/weights.safetensors"] = std::move(files.content["d/model.safetensors"]);
  files.content.erase("d/model.safetensors");
  const Catalog renamed = open(files);
  EXPECT_EQ(files_of(renamed), (Names{"d/weights.safetensors"}));
  EXPECT_EQ(
      renamed.choice,
      "d: reading weights.safetensors, not the files of model.safetensors.index.json (none is "
      "there, e.g. \"model-00001-of-00002.safetensors\")");
}

TEST(Choice, AnIndexOfAnotherCutGivesWayToTheCompleteOne) {
  MemoryFiles files = two_shards();
  files.content.erase("d/model-00002-of-00002.safetensors");
  files.content["d/model-00001-of-00003.safetensors"] = scalars({"a"});
  files.content["d/model-00002-of-00003.safetensors"] = scalars({"b"});
  files.content["d/model-00003-of-00003.safetensors"] = scalars({"c"});
  for (const Catalog& catalog : {open(files), open_checkpoint(files, "d")}) {
    EXPECT_EQ(catalog.files.size(), 3u) << "and no tensor of the other cut";
    EXPECT_NE(catalog.choice.find("reading model-*-of-00003.safetensors, not the files of"),
              std::string::npos);
  }
}

TEST(Choice, OfTwoCompleteCutsOneIsRead) {
  MemoryFiles files = two_shards();
  files.content.erase(kIndex);
  files.content["d/model-00001-of-00003.safetensors"] = scalars({"a"});
  files.content["d/model-00002-of-00003.safetensors"] = scalars({"b"});
  files.content["d/model-00003-of-00003.safetensors"] = scalars({"c"});
  const Catalog catalog = open(files);
  EXPECT_EQ(catalog.files.size(), 2u);
  EXPECT_EQ(catalog.choice,
            "d holds several checkpoints: reading model-*-of-00002.safetensors, not "
            "model-*-of-00003.safetensors");
}

TEST(Choice, AnIndexMayNameWhatNobodyNeeds) {
  MemoryFiles files = two_shards();
  files.content[kIndex] =
      R"({"metadata": {"total_size": -1},
          "weight_map": {"a": "model-00001-of-00002.safetensors",
                         "b": "model-00001-of-00002.safetensors",
                         "c": "model-00002-of-00002.safetensors",
                         "mtp.x": "model-00002-of-00002.safetensors", "mtp.y": "mtp.safetensors"}})";
  const Catalog catalog = open(files);
  EXPECT_EQ(catalog.tensors.size(), 3u);
  EXPECT_EQ(describe_absent(catalog),
            "d: 1 file is missing: \"mtp.safetensors\"; the index names 2 tensors that no file "
            "holds: \"mtp.x\" in \"model-00002-of-00002.safetensors\", \"mtp.y\" in "
            "\"mtp.safetensors\"");
}

constexpr const char* kMoved =
    "d: model.safetensors.index.json has 1 tensor in another file than holds it; read from that "
    "one";

TEST(Choice, ATensorIsFoundInAnotherFileThanTheIndexSays) {
  MemoryFiles files = two_shards();
  files.content["d/model-00001-of-00002.safetensors"] = scalars({"a"});
  files.content["d/model-00002-of-00002.safetensors"] = scalars({"b", "c"});
  const Catalog catalog = open(files);
  EXPECT_EQ(catalog.tensors[static_cast<std::size_t>(catalog.find("b"))].parts[0].file, 1u);
  EXPECT_EQ(catalog.choice, "");
  EXPECT_EQ(catalog.notes, (Names{kMoved}));
}

TEST(Choice, WhatIsWrongInTheIndexIsSaidWhereAnotherCheckpointIsThereToo) {
  MemoryFiles files = two_shards();
  files.content["d/model-00001-of-00002.safetensors"] = scalars({"a"});
  files.content["d/model-00002-of-00002.safetensors"] = scalars({"b", "c"});
  files.content["d/pytorch_model.bin"] = torch_file({"a", "b", "c"});
  const Catalog catalog = open(files);
  EXPECT_EQ(catalog.choice,
            "d holds several checkpoints: reading the one in safetensors, not the one in pytorch "
            "(--format)");
  EXPECT_EQ(catalog.notes, (Names{kMoved}));
}

TEST(Choice, FilesThatAreLeftOutAreSaidWhereAnotherCheckpointIsThereToo) {
  MemoryFiles files;
  files.content["d/mymodel.pt"] = torch_file({"a"});
  files.content["d/loss.pt"] = testing::torch_archive(testing::pickle("]"), {}).file();
  files.content["d/pytorch_model-00001-of-00002.bin"] = torch_file({"a"});
  const Catalog catalog = open(files, {"a"});
  EXPECT_EQ(catalog.choice,
            "d holds several checkpoints: reading loss.pt and mymodel.pt, not "
            "pytorch_model-*-of-00002.bin");
  ASSERT_EQ(catalog.notes.size(), 1u);
  EXPECT_TRUE(catalog.notes[0].starts_with("1 file is left out: d/loss.pt: "));
}

TEST(Choice, AnIndexThatIsNoneGivesWayToTheFiles) {
  for (const char* index :
       {"", "not JSON", R"({"weight_map": {}})", R"({"weight_map": [1]})", "[]",
        R"({"weight_map": {"a": "../x.safetensors"}})",
        R"({"weight_map": {"a": "pytorch_model-00001-of-00002.safetensors"}})",
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"}) {
    MemoryFiles files = two_shards();
    files.content[kIndex] = index;
    const Catalog catalog = open(files);
    EXPECT_EQ(catalog.files.size(), 2u) << index;
    EXPECT_NE(catalog.choice.find("reading model-*-of-00002.safetensors, not"), std::string::npos);
  }
}

TEST(Choice, AShardUnderAnotherNameIsFound) {
  MemoryFiles files = two_shards();
  files.content["d/second half.safetensors"] =
      std::move(files.content["d/model-00002-of-00002.safetensors"]);
  files.content.erase("d/model-00002-of-00002.safetensors");
  const Catalog catalog = open(files);
  EXPECT_EQ(catalog.files.size(), 2u);
  EXPECT_NE(catalog.choice.find("reading all files together, not"), std::string::npos);
}

TEST(Choice, ACompleteBinIsReadWhereSafetensorsAreNot) {
  MemoryFiles files = two_shards();
  files.content.erase("d/model-00002-of-00002.safetensors");
  files.content["d/pytorch_model.bin"] = torch_file({"a", "b", "c"});
  const Catalog catalog = open(files);
  EXPECT_EQ(catalog.format, "pytorch");
  EXPECT_EQ(catalog.choice,
            "d: reading the one in pytorch, not the files of model.safetensors.index.json (no c)");
  EXPECT_EQ(open_checkpoint(files, "d").format, "pytorch");
}

TEST(Choice, OtherFormatsAreSaidOnceEachHoweverManyFilesTheyHave) {
  MemoryFiles files = two_shards();
  files.content["d/pytorch_model-00001-of-00002.bin"] = torch_file({"a", "b"});
  files.content["d/pytorch_model-00002-of-00002.bin"] = torch_file({"c"});
  files.content["d/pytorch_model.bin.index.json"] =
      R"({"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}})";
  EXPECT_EQ(open(files).choice,
            "d holds several checkpoints: reading the one in safetensors, not the one in pytorch "
            "(--format)");
}

TEST(Choice, TheIndexOfBinFilesIsAHintToo) {
  MemoryFiles files;
  files.content["d/pytorch_model.bin.index.json"] =
      R"({"weight_map": {"a": "1.bin", "b": "2.bin"}})";
  files.content["d/pytorch_model-00001-of-00002.bin"] = torch_file({"a"});
  files.content["d/pytorch_model-00002-of-00002.bin"] = torch_file({"b"});
  EXPECT_EQ(open(files, {"a", "b"}).files.size(), 2u);
  files.content["d/pytorch_model.bin"] = torch_file({"a", "b"});
  EXPECT_EQ(files_of(open(files, {"a", "b"})), (Names{"d/pytorch_model.bin"}));
}

TEST(Choice, MistralsOwnCopyIsNeverMixedWithTheShards) {
  MemoryFiles files = two_shards();
  files.content["d/consolidated.safetensors"] = scalars({"a", "tok_embeddings.weight"});
  for (const bool index : {true, false}) {
    if (!index) files.content.erase(kIndex);
    const Catalog catalog = open(files);
    EXPECT_EQ(catalog.find("tok_embeddings.weight"), -1);
    EXPECT_NE(catalog.choice.find(", not consolidated.safetensors"), std::string::npos)
        << index << catalog.choice;
  }
  EXPECT_EQ(open(files, {"tok_embeddings.weight"}).files.size(), 1u);
}

TEST(Choice, AVariantIsReadWhereItIsTheOnlyOne) {
  MemoryFiles files;
  files.content["d/model.fp16.safetensors"] = scalars({"a", "b", "c"});
  EXPECT_EQ(open(files).choice, "");
  files.content["d/model.bf16.safetensors"] = scalars({"a", "b", "c"});
  EXPECT_EQ(error_of([&] { (void)open(files); }),
            "d: \"model.bf16.safetensors\" and \"model.fp16.safetensors\" both hold tensor \"a\": "
            "name the file of one, or have the files of one model");
  files.content["d/model.safetensors"] = scalars({"a", "b", "c"});
  EXPECT_EQ(files_of(open(files)), (Names{"d/model.safetensors"}));
}

TEST(Choice, WhereNoneWillDoTheFirstOnesErrorIsShown) {
  MemoryFiles files = two_shards();
  files.content.erase("d/model-00002-of-00002.safetensors");
  EXPECT_EQ(error_of([&] { (void)open(files); }), "no c");
  const Catalog listed = open_checkpoint(files, "d");
  EXPECT_EQ(listed.absent_files, (Names{"model-00002-of-00002.safetensors"})) << "but is listed";
  EXPECT_EQ(listed.absent_tensors.at("c"), "model-00002-of-00002.safetensors");
  files.content["d/model-00001-of-00002.safetensors"].resize(40);
  EXPECT_NE(error_of([&] { (void)open(files); }).find("truncated"), std::string::npos);
}

TEST(Choice, AnyErrorOfTheCheckButUnfitCheckpointEndsTheSearch) {
  MemoryFiles files = two_shards();
  files.content["d/model.safetensors"] = scalars({"a", "b", "c"});
  int asked = 0;
  const auto check = [&](const Catalog&) {
    ++asked;
    fail("the config is wrong");
  };
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "d", "", check); }), "the config is wrong");
  EXPECT_EQ(asked, 1);
}

TEST(Choice, APathToAShardTakesTheOthersWhereTheyAreNeeded) {
  MemoryFiles files = two_shards();
  const char* path = "d/model-00002-of-00002.safetensors";
  EXPECT_EQ(open_checkpoint(files, path).files.size(), 1u);
  const Catalog catalog = open_checkpoint(files, path, "", needs({"a", "c"}));
  EXPECT_EQ(catalog.files.size(), 2u);
  EXPECT_NE(catalog.choice.find("reading model-*-of-00002.safetensors, not"), std::string::npos);
}

TEST(Choice, HiddenFilesAndDirectoriesAreNoFilesOfACheckpoint) {
  MemoryFiles files;
  files.content["d/foo.safetensors"] = scalars({"a"});
  files.content["d/._foo.safetensors"] = "Mac OS X";
  files.content["d/old.safetensors/x"] = "";
  files.content["d/._model.gguf"] = "Mac OS X";
  files.content["d/._pytorch_model.bin"] = "Mac OS X";
  const Catalog catalog = open(files, {"a"});
  EXPECT_EQ(files_of(catalog), (Names{"d/foo.safetensors"}));
  EXPECT_EQ(catalog.choice, "");
}

TEST(Choice, ALooseFileThatIsNoStateDictIsLeftOut) {
  MemoryFiles files;
  files.content["d/mymodel.pt"] = torch_file({"a"});
  files.content["d/loss.pt"] = testing::torch_archive(testing::pickle("]"), {}).file();
  const Catalog catalog = open(files, {"a"});
  EXPECT_EQ(files_of(catalog), (Names{"d/mymodel.pt"}));
  EXPECT_EQ(catalog.notes, (Names{"1 file is left out: d/loss.pt: data.pkl: it holds a list, "
                                  "expected a dictionary of tensors"}));
  files.content.erase("d/mymodel.pt");
  EXPECT_NE(error_of([&] { (void)open(files, {"a"}); }).find("expected a dictionary of tensors"),
            std::string::npos);
}

TEST(Choice, ADamagedFileIsNotReplacedByAnotherCheckpoint) {
  MemoryFiles files;
  const std::string whole = scalars({"a", "b"});
  files.content["d/model.safetensors"] = whole.substr(0, whole.size() - 1);
  files.content["d/pytorch_model.bin"] = torch_file({"a", "b"});
  const std::string damaged =
      error_of([&] { (void)open_checkpoint(files, "d/model.safetensors"); });
  const std::string text = error_of([&] { (void)open(files, {"a", "b"}); });
  EXPECT_EQ(text, damaged +
                      "; there is another checkpoint, the one in pytorch: choose it with --format "
                      "or by its path");
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "d"); }), text);
  EXPECT_EQ(open_checkpoint(files, "d", "pytorch", needs({"a"})).format, "pytorch");
  files.content["d/model.safetensors"] =
      "version https://git-lfs.github.com/spec/v1\noid sha256:a\n";
  EXPECT_EQ(open(files, {"a", "b"}).format, "pytorch") << "what is not there is not damaged";
}

TEST(Choice, AFileWhoseNameEndsInCapitalsIsNamed) {
  MemoryFiles files;
  files.content["d/config.json"] = "{}";
  files.content["d/model.SAFETENSORS"] = scalars({"a"});
  EXPECT_NE(error_of([&] { (void)open(files); }).find("\"model.SAFETENSORS\" is not looked for"),
            std::string::npos);
  EXPECT_EQ(open_checkpoint(files, "d/model.SAFETENSORS").tensors.size(), 1u);
}

TEST(Choice, AFileThatIsStillBeingDownloadedIsNotRead) {
  MemoryFiles files;
  files.content["d/model.safetensors"] = scalars({"a"});
  files.content["d/model.safetensors.aria2"] = "x";
  EXPECT_EQ(error_of([&] { (void)open(files, {"a"}); }),
            "d/model.safetensors: an unfinished download, as \"model.safetensors.aria2\" beside it "
            "says: finish it, or download it again");
}

}  // namespace
}  // namespace initrt
