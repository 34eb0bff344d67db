// Safetensors checkpoints of several files, with and without an index.
#include <gtest/gtest.h>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/formats.h"
#include "tests/sharding/checkpoint/scalars.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::MemoryFiles;
using testing::scalars;

MemoryFiles indexed(const std::string& weight_map) {
  MemoryFiles files;
  files.content["d/model-1.safetensors"] = scalars({"a", "b"});
  files.content["d/model-2.safetensors"] = scalars({"c"});
  files.content["d/model.safetensors.index.json"] = R"({"weight_map": )" + weight_map + "}";
  return files;
}

/// The error of the index alone: there are no other files to fall back on.
std::string error_with(const std::string& weight_map) {
  MemoryFiles files;
  files.content["d/model.safetensors.index.json"] = R"({"weight_map": )" + weight_map + "}";
  return error_of([&] { (void)open_checkpoint(files, "d"); });
}

constexpr const char* kIndex = "d/model.safetensors.index.json";

TEST(SafetensorsIndex, OpensTheFilesItNamesByDirectoryOrByItsOwnPath) {
  MemoryFiles files = indexed(
      R"({"a": "model-1.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"})");
  files.content["d/other.safetensors"] = scalars({"x"});
  for (const char* path : {"d", kIndex}) {
    const Catalog catalog = open_checkpoint(files, path);
    EXPECT_EQ(catalog.files.size(), 2u);
    EXPECT_EQ(catalog.tensors.size(), 3u);
    EXPECT_EQ(catalog.tensors[static_cast<std::size_t>(catalog.find("c"))].parts[0].file, 1u);
  }
}

TEST(SafetensorsIndex, DecidesBetweenCopies) {
  MemoryFiles files = indexed(R"({"a": "model-1.safetensors", "c": "model-2.safetensors"})");
  files.content["d/model-2.safetensors"] = scalars({"a", "c"});
  const Catalog catalog = open_checkpoint(files, "d");
  EXPECT_EQ(catalog.tensors[static_cast<std::size_t>(catalog.find("a"))].parts[0].file, 0u);
  EXPECT_EQ(catalog.tensors.size(), 3u);  // b is not in the index, but there
}

TEST(SafetensorsIndex, FilesMayLieInAFolderBelow) {
  MemoryFiles files =
      indexed(R"({"a": "weights/model-1.safetensors", "c": "model-2.safetensors"})");
  files.content["d/weights/model-1.safetensors"] = scalars({"a"});
  files.content.erase("d/model-1.safetensors");
  const Catalog catalog = open_checkpoint(files, "d");
  EXPECT_EQ(catalog.tensors.size(), 2u);
  EXPECT_EQ(catalog.files.back().path, "d/weights/model-1.safetensors");
}

TEST(SafetensorsIndex, PathsThatLeadOutOfTheDirectoryAreRefused) {
  for (const char* name : {"../x.safetensors", "/etc/passwd", "/x.safetensors", "sub//x", "sub/",
                           "..", ".", "", "a\\u0000b", "a\\nb", "x/../y"}) {
    const std::string text = error_with(std::string(R"({"a": ")") + name + "\"}");
    EXPECT_TRUE(text.starts_with(std::string(kIndex) + ": weight_map: \"a\" is in ")) << text;
    EXPECT_NE(text.find("which is no file of the index's folder"), std::string::npos) << text;
  }
}

TEST(SafetensorsIndex, AnIndexOfAnotherFormIsAnError) {
  EXPECT_EQ(error_with("{}"), std::string(kIndex) + ": \"weight_map\" is empty");
  EXPECT_EQ(error_with("[]"), std::string(kIndex) + ": no object \"weight_map\"");
  EXPECT_EQ(error_with(R"({"a": 1})"),
            std::string(kIndex) + ": weight_map: \"a\" has no file name");
  EXPECT_EQ(error_with(R"({"a": "model-1.safetensors", "a": "model-2.safetensors"})"),
            std::string(kIndex) + ": key \"a\" appears twice");
  MemoryFiles files;
  files.content[kIndex] = "{}";
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "d"); }),
            std::string(kIndex) + ": no object \"weight_map\"");
}

TEST(SafetensorsIndex, WithoutOneAllFilesOfTheDirectoryAreOpened) {
  MemoryFiles files = indexed("{}");
  files.content.erase(kIndex);
  EXPECT_EQ(open_checkpoint(files, "d").tensors.size(), 3u);
  files.content["d/model-3.safetensors"] = scalars({"a"});
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "d"); }),
            "d: \"model-1.safetensors\" and \"model-3.safetensors\" both hold tensor \"a\": name "
            "the file of one, or have the files of one model");
  // model.safetensors is the whole model, whatever lies beside it.
  files.content["d/model.safetensors"] = scalars({"y"});
  EXPECT_EQ(open_checkpoint(files, "d").tensors.size(), 1u);
}

}  // namespace
}  // namespace initrt
