// Which PyTorch files make a checkpoint, and what Meta's pieces become.
#include <gtest/gtest.h>

#include "sharding/checkpoint/catalog.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using namespace testing;

using Numbers = std::vector<std::uint64_t>;

/// A state dict of float32 matrices, each in a storage of its own.
struct StateDict {
  PyItems items;
  std::vector<std::string> storages;

  StateDict& add(const std::string& name, std::int64_t rows, std::int64_t columns) {
    const PyTensor tensor{
        py_storage("FloatStorage", std::to_string(storages.size()), rows * columns),
        0,
        {rows, columns},
        {columns, 1}};
    items.emplace_back(py_string(name), tensor.call());
    storages.emplace_back(static_cast<std::size_t>(rows * columns) * 4, 'x');
    return *this;
  }
  [[nodiscard]] std::string file() const {
    return torch_archive(pickle(py_dict(items)), storages).file();
  }
};

std::string one_matrix(const std::string& name) { return StateDict().add(name, 2, 3).file(); }

std::string open_error(MemoryFiles& files, const std::string& path) {
  return error_of([&] { (void)open_checkpoint(files, path); });
}

TEST(PyTorch, TheNameOfAFileDoesNotMatterItsContentDoes) {
  MemoryFiles files;
  files.content["d/anything"] = one_matrix("w");
  files.content["e/model.pt"] = one_matrix("w");
  files.content["f/model.bin"] = "not at all";
  EXPECT_EQ(open_checkpoint(files, "d/anything").format, "pytorch");
  EXPECT_EQ(open_checkpoint(files, "e").format, "pytorch");
  EXPECT_NE(open_error(files, "f").find("no checkpoint of a known format"), std::string::npos);
}

TEST(PyTorch, WhatATrainingJobLeavesBesideAModelIsNone) {
  MemoryFiles files;
  for (const char* name :
       {"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state_0.pth"}) {
    files.content[std::string("d/") + name] = one_matrix("x");
  }
  EXPECT_NE(open_error(files, "d").find("no checkpoint of a known format"), std::string::npos);
  files.content["d/weights.bin"] = one_matrix("w");
  EXPECT_GE(open_checkpoint(files, "d").find("w"), 0);
  files.content["d/more.bin"] = one_matrix("w");
  EXPECT_EQ(open_error(files, "d"),
            "d: \"more.bin\" and \"weights.bin\" both hold tensor \"w\": name the file of one, or "
            "have the files of one model");
}

TEST(PyTorch, AllPiecesOfOneModelNeedNoIndex) {
  MemoryFiles files;
  files.content["d/pytorch_model-00001-of-00002.bin"] = one_matrix("a");
  EXPECT_EQ(describe_absent(open_checkpoint(files, "d")),
            "d: 1 file is missing: \"pytorch_model-00002-of-00002.bin\"");
  files.content["d/pytorch_model-00002-of-00002.bin"] = one_matrix("b");
  files.content["d/other-00001-of-00001.bin"] = one_matrix("c");
  const Catalog catalog = open_checkpoint(files, "d");
  EXPECT_GE(catalog.find("a"), 0);
  EXPECT_GE(catalog.find("b"), 0);
  EXPECT_LT(catalog.find("c"), 0);
}

TEST(PyTorch, AnIndexSaysWhichFilesAndWhichTensorIsWhere) {
  MemoryFiles files;
  files.content["d/pytorch_model.bin.index.json"] =
      R"({"weight_map": {"a": "1.bin", "b": "2.bin"}})";
  files.content["d/1.bin"] = one_matrix("a");
  EXPECT_EQ(open_checkpoint(files, "d").absent_files, (std::vector<std::string>{"2.bin"}));
  files.content["d/1.bin"] = StateDict().add("a", 2, 3).add("b", 1, 1).file();
  files.content["d/2.bin"] = one_matrix("b");
  const Catalog catalog = open_checkpoint(files, "d");
  const auto& b = catalog.tensors[static_cast<std::size_t>(catalog.find("b"))];
  EXPECT_EQ(b.shape, (Numbers{2, 3})) << "the one in 2.bin";
}

/// Two pieces of a model of width 4.
MemoryFiles meta_pieces() {
  MemoryFiles files;
  for (const char* name : {"d/consolidated.00.pth", "d/consolidated.01.pth"}) {
    files.content[name] = StateDict()
                              .add("tok_embeddings.weight", 10, 2)
                              .add("layers.0.attention.wq.weight", 2, 4)
                              .add("layers.0.attention.wo.weight", 4, 2)
                              .add("layers.0.feed_forward.w1.weight", 3, 4)
                              .add("norm.weight", 4, 1)
                              .add("output.weight", 5, 4)
                              .file();
  }
  files.content["d/params.json"] = R"({"dim": 4, "n_heads": 2, "n_layers": 1})";
  return files;
}

Numbers shape_of(const Catalog& catalog, const char* name) {
  return catalog.tensors.at(static_cast<std::size_t>(catalog.find(name))).shape;
}

TEST(Meta, PiecesAreJoinedByRowsOrByColumns) {
  MemoryFiles files = meta_pieces();
  const Catalog catalog = open_checkpoint(files, "d");
  EXPECT_EQ(catalog.format, "meta");
  EXPECT_EQ(shape_of(catalog, "tok_embeddings.weight"), (Numbers{10, 4}));
  EXPECT_EQ(shape_of(catalog, "layers.0.attention.wq.weight"), (Numbers{4, 4}));
  EXPECT_EQ(shape_of(catalog, "layers.0.attention.wo.weight"), (Numbers{4, 4}));
  EXPECT_EQ(shape_of(catalog, "output.weight"), (Numbers{10, 4}));
  EXPECT_EQ(shape_of(catalog, "norm.weight"), (Numbers{4, 1})) << "the same in each";
  EXPECT_EQ(catalog.config["vocab_size"], 10);
  // Where an embedding's piece is as wide as the model, its rows are cut.
  files.content["d/params.json"] = R"({"dim": 2, "n_heads": 2, "n_layers": 1})";
  EXPECT_EQ(shape_of(open_checkpoint(files, "d"), "tok_embeddings.weight"), (Numbers{20, 2}));
}

TEST(Meta, OneFileIsAWholeModel) {
  MemoryFiles files = meta_pieces();
  files.content.erase("d/consolidated.01.pth");
  EXPECT_EQ(shape_of(open_checkpoint(files, "d/consolidated.00.pth"), "output.weight"),
            (Numbers{5, 4}));
}

TEST(Meta, PiecesThatDoNotGoTogetherAreErrors) {
  MemoryFiles files = meta_pieces();
  files.content["d/consolidated.03.pth"] = files.content["d/consolidated.00.pth"];
  EXPECT_EQ(open_error(files, "d"),
            "d/consolidated.02.pth: missing: a piece of the checkpoint that consolidated.03.pth "
            "belongs to");
  files = meta_pieces();
  files.content["d/consolidated.01.pth"] = one_matrix("output.weight");
  EXPECT_NE(open_error(files, "d")
                .find("d/consolidated.01.pth: tensor \"layers.0.attention.wo."
                      "weight\" is not in this file, but in others"),
            std::string::npos);
  files = meta_pieces();
  files.content["d/consolidated.00.pth"] = one_matrix("output.weight");
  files.content["d/consolidated.01.pth"] = StateDict().add("output.weight", 2, 4).file();
  EXPECT_EQ(open_error(files, "d"),
            "d/consolidated.01.pth: tensor \"output.weight\" is F32 [2, 4], which does not go with "
            "the piece in d/consolidated.00.pth");
}

TEST(Meta, ParamsMustSayHowWideTheModelIs) {
  MemoryFiles files = meta_pieces();
  files.content["d/params.json"] = "{}";
  EXPECT_EQ(open_error(files, "d"), "d/params.json: model config: dim is missing");
  files.content.erase("d/params.json");
  EXPECT_EQ(open_error(files, "d"), "d/params.json: no such file");
}

TEST(Lit, ItsNamesDecide) {
  MemoryFiles files;
  files.content["d/lit_model.pth"] = one_matrix("w");
  files.content["e/lit-llama.pth"] = one_matrix("w");
  EXPECT_EQ(open_checkpoint(files, "d").format, "lit");
  EXPECT_EQ(open_checkpoint(files, "e/lit-llama.pth").format, "lit");
  files.content["d/pytorch_model.bin"] = one_matrix("v");
  const Catalog both = open_checkpoint(files, "d");
  EXPECT_EQ(both.format, "pytorch");
  EXPECT_EQ(both.choice,
            "d holds several checkpoints: reading the one in pytorch, not the one in lit "
            "(--format)");
}

}  // namespace
}  // namespace initrt
