// Which files of a directory are taken together, by their names.
#include "sharding/checkpoint/file_sets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace initrt {
namespace {

using Names = std::vector<std::string>;

constexpr std::array<std::string_view, 2> kSpecial = {"adapter", "consolidated"};

std::vector<FileSet> sets_in(Names names) {
  std::sort(names.begin(), names.end());
  return file_sets(names, {"model.safetensors", "model", kSpecial});
}

Names names_of(const std::vector<FileSet>& sets) {
  Names names;
  for (const FileSet& set : sets) names.push_back(set.name);
  return names;
}

TEST(FileSets, TheSingleFileComesBeforeTheIndexAndThatBeforeOtherCuts) {
  const auto sets = sets_in({"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                             "model.safetensors", "model.safetensors.index.json"});
  EXPECT_EQ(names_of(sets), (Names{"model.safetensors", "the files of model.safetensors.index.json",
                                   "model-*-of-00002.safetensors"}));
}

TEST(FileSets, TwoCutsAreNeverOneSet) {
  const auto sets = sets_in({"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                             "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                             "model-00003-of-00003.safetensors"});
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].files.size(), 2u);
  EXPECT_EQ(sets[1].files.size(), 3u);
}

TEST(FileSets, TheLastResortJoinsOneCutWithLooseFilesOnly) {
  const auto last = [](const Names& names) {
    std::vector<Names> files;
    for (const FileSet& set : sets_in(names)) {
      if (set.last_resort) files.push_back(set.files);
    }
    return files;
  };
  using Sets = std::vector<Names>;
  EXPECT_EQ(last({"model-1-of-2.safetensors", "model-3-of-3.safetensors"}), Sets());
  EXPECT_EQ(last({"model-1-of-2.safetensors", "model-2-of-2.fp16.safetensors"}), Sets());
  EXPECT_EQ(last({"model-1-of-2.safetensors", "x.safetensors"}),
            (Sets{{"model-1-of-2.safetensors", "x.safetensors"}}));
  EXPECT_EQ(last({"model-1-of-2.safetensors", "second-2-of-2.safetensors"}),
            (Sets{{"model-1-of-2.safetensors", "second-2-of-2.safetensors"}}));
  EXPECT_EQ(last({"model-1-of-2.safetensors", "model-3-of-3.safetensors", "x.safetensors"}),
            (Sets{{"model-1-of-2.safetensors", "x.safetensors"},
                  {"model-3-of-3.safetensors", "x.safetensors"}}));
}

TEST(FileSets, CompleteCutsComeFirstAndIncompleteOnesSayWhatIsMissing) {
  const auto sets =
      sets_in({"model-00001-of-00002.safetensors", "model-00001-of-00003.safetensors",
               "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"});
  ASSERT_GE(sets.size(), 2u);
  EXPECT_EQ(sets[0].name, "model-*-of-00003.safetensors");
  EXPECT_EQ(sets[1].absent, (Names{"model-00002-of-00002.safetensors"}));
}

TEST(FileSets, OfACutThatClaimsManyPiecesOnlyTheFirstAbsentAreNamed) {
  const auto sets = sets_in({"model-2-of-999999.safetensors"});
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(sets[0].absent, (Names{"model-1-of-999999.safetensors", "model-3-of-999999.safetensors",
                                   "model-4-of-999999.safetensors"}));
  EXPECT_EQ(sets[0].more_absent, 999995u);
}

TEST(FileSets, APieceBeyondTheCountIsNoneOfTheCut) {
  const Names cut = {"model-1-of-2.safetensors", "model-2-of-2.safetensors"};
  const auto sets = sets_in({cut[0], cut[1], "model-3-of-2.safetensors"});
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].files, cut);
  EXPECT_EQ(sets[1].files, (Names{"model-3-of-2.safetensors"}));
  EXPECT_EQ(sets_of_file(cut[0], {cut[0], cut[1], "model-3-of-2.safetensors"})[1].files, cut);
  const auto from_zero =
      sets_in({"m0-of-2.safetensors", "m1-of-2.safetensors", "m2-of-2.safetensors"});
  EXPECT_EQ(from_zero[0].files, (Names{"m0-of-2.safetensors", "m1-of-2.safetensors"}));
}

TEST(FileSets, PiecesAreNumberedFromOneOrFromZeroInAnyNumberOfDigits) {
  for (const Names& names :
       {Names{"model-00001-of-000002.safetensors", "model-00002-of-000002.safetensors"},
        Names{"model_0-of-2.safetensors", "model_1-of-2.safetensors"}}) {
    const auto sets = sets_in(names);
    ASSERT_EQ(sets.size(), 1u);
    EXPECT_EQ(sets[0].files, names);
    EXPECT_TRUE(sets[0].absent.empty());
  }
}

TEST(FileSets, VariantsAreCutsOfTheirOwnAndComeLater) {
  const auto sets =
      sets_in({"model.fp16-00001-of-00001.safetensors", "model-00001-of-00002.fp16.safetensors",
               "model-00002-of-00002.fp16.safetensors", "model-00001-of-00001.safetensors",
               "model.safetensors.index.fp16.json"});
  const Names names = names_of(sets);
  EXPECT_EQ(names[0], "model-*-of-00001.safetensors");
  EXPECT_EQ(names[1], "model-*-of-00002.fp16.safetensors");
  EXPECT_EQ(names[2], "model.fp16-*-of-00001.safetensors");
  EXPECT_EQ(names[3], "the files of model.safetensors.index.fp16.json");
}

TEST(FileSets, OtherCopiesAndAdaptersAreApart) {
  const auto sets = sets_in({"adapter_model.safetensors", "consolidated.safetensors",
                             "model-00001-of-00001.safetensors"});
  EXPECT_EQ(names_of(sets), (Names{"model-*-of-00001.safetensors", "adapter_model.safetensors",
                                   "consolidated.safetensors"}));
}

TEST(FileSets, OfAPathToAPieceAllPiecesAreTheSecondChoice) {
  const Names names = {"a-1-of-2.bin", "a-2-of-2.bin", "b-1-of-2.bin"};
  const auto sets = sets_of_file("a-1-of-2.bin", names);
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].files, (Names{"a-1-of-2.bin"}));
  EXPECT_EQ(sets[1].files, (Names{"a-1-of-2.bin", "a-2-of-2.bin"}));
  EXPECT_FALSE(is_piece("model-00001-of-00001.safetensors")) << "it is all there is";
  EXPECT_EQ(sets_of_file("model.bin", names).size(), 1u);
}

TEST(FileSets, AnIndexIsKnownByTheSuffixOfWhatItIsOf) {
  EXPECT_TRUE(is_index("model.safetensors.index.json", ".safetensors"));
  EXPECT_TRUE(is_index("model.safetensors.index.fp16.json", ".safetensors"));
  EXPECT_TRUE(is_index("a.index.b.safetensors.index.json", ".safetensors"));
  EXPECT_FALSE(is_index("pytorch_model.bin.index.json", ".safetensors"));
  EXPECT_TRUE(is_index("pytorch_model.bin.index.json", ""));
  EXPECT_FALSE(is_index("model.safetensors.index.txt", ".safetensors"));
  EXPECT_FALSE(is_index("index.json", ""));
}

TEST(FileSets, NumbersOfAbsurdLengthAreNoPieces) {
  for (const char* name : {"m-1-of-99999999999999999999.bin", "m-of-3.bin", "-of-", "1-of-2.bin",
                           "m-1-of-.bin", "m-99999999999-of-3.bin"}) {
    EXPECT_FALSE(is_piece(name)) << name;
  }
}

}  // namespace
}  // namespace initrt
