// Nodes that have copies of a checkpoint, and one that has another: ranks are threads, and each
// node's files are in memory.
#include "runtime/start/same_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/runtime/comm/thread_ranks.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A node's files. Counts what is asked of them, and fails where a test says so.
class NodeFiles final : public Files {
 public:
  MemoryFiles memory;
  std::atomic<std::uint64_t> reads{0}, read_bytes{0}, stats{0};
  std::atomic<std::uint64_t> fails_at{UINT64_MAX};  // which of the reads

  std::optional<FileInfo> stat(const std::string& path) override {
    ++stats;
    return memory.stat(path);
  }
  std::vector<std::string> list(const std::string& directory) override {
    return memory.list(directory);
  }
  std::vector<std::byte> read(const std::string& path, std::uint64_t offset,
                              std::uint64_t bytes) override {
    if (reads++ == fails_at) fail("{}: cannot read at byte {}", path, offset);
    read_bytes += bytes;
    return memory.read(path, offset, bytes);
  }
};

// As many blocks as a larger model has, each of a LLaMA's matrices.
SmallLlama many_blocks() {
  SmallLlama shape;
  shape.layers = 32;
  return shape;
}

// Three nodes with two ranks each.
struct Nodes {
  static constexpr std::uint32_t kNodes = 3, kRanksOfOne = 2;

  SmallCheckpoint checkpoint{many_blocks(), DType::BF16, 3};
  OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  std::vector<NodeFiles> files{kNodes};

  Nodes() {
    for (const CheckpointFile& file : model.catalog.files) {
      std::ostringstream content;
      content << std::ifstream(file.path, std::ios::binary).rdbuf();
      for (NodeFiles& node : files) node.memory.content[file.path] = content.str();
    }
  }

  // What each rank fails with.
  std::vector<std::string> check(std::uint32_t nodes = kNodes) {
    return run_ranks(nodes * kRanksOfOne, [&](Communicator& comm) {
      const std::uint32_t node = comm.rank() / kRanksOfOne;
      check_same_checkpoint(comm, files[node], model.catalog, model.bindings,
                            {comm.rank() % kRanksOfOne == 0, "n" + std::to_string(node + 1)});
    });
  }

  // Changes, on a node, every number of the tensors whose names end so, as training does.
  void train(std::uint32_t node, std::string_view suffix) {
    for (const TensorEntry& tensor : model.catalog.tensors) {
      if (!tensor.name.ends_with(suffix)) continue;
      for (const TensorPart& part : tensor.parts) {
        std::string& content = files[node].memory.content[model.catalog.files[part.file].path];
        for (std::uint64_t i = 0; i < tensor.extent_bytes(part); i += 2) {
          content[part.offset + i] = static_cast<char>(content[part.offset + i] ^ 1);
        }
      }
    }
  }

  [[nodiscard]] const std::string& path(std::size_t file) const {
    return model.catalog.files[file].path;
  }
};

TEST(SameCheckpoint, CopiesPassAndOneRankOfANodeReadsALittle) {
  Nodes nodes;
  EXPECT_THAT(nodes.check(), Each(IsEmpty()));
  const std::size_t samples = choose_samples(nodes.model.catalog, nodes.model.bindings).size();
  for (const NodeFiles& node : nodes.files) {
    EXPECT_EQ(node.reads, samples) << "by one rank";
    EXPECT_LE(node.reads, 64u);
    EXPECT_LE(node.read_bytes, 64u * 4096);
  }
}

TEST(SameCheckpoint, OfOneNodeIsNotLookedAt) {
  Nodes nodes;
  EXPECT_THAT(nodes.check(1), Each(IsEmpty()));
  EXPECT_EQ(nodes.files[0].reads + nodes.files[0].stats, 0u);
}

TEST(SameCheckpoint, AnyMatrixThatTrainingChangedInEachBlockIsSeen) {
  for (const char* matrix : {"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight",
                             "gate_proj.weight", "up_proj.weight", "down_proj.weight"}) {
    Nodes nodes;
    nodes.train(1, matrix);
    EXPECT_THAT(nodes.check(),
                Each(AllOf(HasSubstr("not the same file on all nodes"), HasSubstr(matrix),
                           HasSubstr("node n1 (rank 0) and node n2 (rank 2)"),
                           HasSubstr("copy one node's checkpoint to all others"))));
  }
}

TEST(SameCheckpoint, TheByteThatIsNamedIsInTheTensorThatIs) {
  Nodes nodes;
  nodes.train(2, ".weight");
  const TensorSample first = choose_samples(nodes.model.catalog, nodes.model.bindings).front();
  EXPECT_THAT(
      nodes.check(),
      Each(HasSubstr(fmt::format("of the {} bytes from byte {} on, of \"{}\"", first.bytes,
                                 first.offset, nodes.model.catalog.tensors[first.tensor].name))));
}

TEST(SameCheckpoint, AFileOfAnotherSizeOrNoneIsNamedAndNotRead) {
  Nodes nodes;
  nodes.files[1].memory.content[nodes.path(2)] += "more";
  const std::uint64_t bytes = nodes.model.catalog.files[2].bytes;
  EXPECT_THAT(nodes.check(), Each(AllOf(HasSubstr(nodes.path(2)),
                                        HasSubstr(fmt::format("{} bytes on node n1 (rank 0), {} on "
                                                              "node n2 (rank 2)",
                                                              bytes, bytes + 4)))));
  EXPECT_EQ(nodes.files[1].reads, 0u);
  nodes.files[1].memory.content.erase(nodes.path(2));
  EXPECT_THAT(nodes.check(), Each(AllOf(HasSubstr(nodes.path(2)),
                                        HasSubstr("node n1 (rank 0) has it, node n2 (rank 2) does "
                                                  "not"))));
}

TEST(SameCheckpoint, ARankThatCannotReadEndsAll) {
  for (const std::uint32_t node : {0u, 2u}) {
    Nodes nodes;
    nodes.files[node].fails_at = 5;
    EXPECT_THAT(nodes.check(), Each(HasSubstr("cannot read at byte")));
  }
}

TEST(SameCheckpoint, SamplesAreOfAllFilesAndOfAllOverThem) {
  const Nodes nodes;
  const Catalog& catalog = nodes.model.catalog;
  std::set<std::uint32_t> files, tensors;
  const std::vector<TensorSample> samples = choose_samples(catalog, nodes.model.bindings);
  for (const TensorSample& sample : samples) {
    files.insert(sample.file);
    tensors.insert(sample.tensor);
    const TensorEntry& tensor = catalog.tensors[sample.tensor];
    const TensorPart& part = tensor.parts.front();
    EXPECT_GE(sample.offset, part.offset);
    EXPECT_LE(sample.offset + sample.bytes, part.offset + tensor.extent_bytes(part));
  }
  EXPECT_EQ(files.size(), 3u);
  EXPECT_GT(tensors.size(), 50u);
}

}  // namespace
}  // namespace initrt::testing
