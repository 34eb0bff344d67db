// Tied embeddings, where the config and the tensors do not say the same.
#include "runtime/start/tied_tables.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/model/family.h"
#include "runtime/storage/local_files.h"
#include "runtime/storage/recorded_files.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"
#include "tests/support/temporary_directory.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kNone = 0;

/// A checkpoint with both tables whose config says that they are tied. @param first_different
/// element of the head that differs from the embedding, and so many after it
struct WithBothTables {
  WithBothTables(std::size_t first_different, std::size_t different);
  [[nodiscard]] OpenModel open() const { return open_checkpoint_as(directory.path(), "32-true"); }

  const SmallLlama shape;
  const TemporaryDirectory directory;
};

WithBothTables::WithBothTables(std::size_t first_different, std::size_t different) {
  std::vector<SmallTensor> tensors = random_tensors(shape, 5);
  const std::vector<float> embedding = tensor_named(tensors, "model.embed_tokens.weight").values;
  for (SmallTensor& tensor : tensors) {
    if (tensor.name != "lm_head.weight") continue;
    tensor.values = embedding;
    for (std::size_t i = 0; i < different; ++i) tensor.values[first_different + i] += 1.0f;
  }
  write_safetensors(directory.path(), shape, tensors, DType::F32, 1);
  nlohmann::json config = config_of(shape);
  config["tie_word_embeddings"] = true;
  std::ofstream(directory.path() + "/config.json") << config;
}

bool has_head_of_its_own(const OpenModel& model) {
  return model.graph.embedding.size() == 1 && model.graph.units.front().kind == UnitKind::Embedding;
}

TEST(TiedTables, AHeadOfOtherValuesIsKeptThoughTheConfigSaysTied) {
  EXPECT_TRUE(has_head_of_its_own(WithBothTables(0, 1000).open()));
}

TEST(TiedTables, AHeadThatDiffersInOneElementIsKeptAndTold) {
  const SmallLlama shape;
  const std::size_t last = std::size_t{shape.vocabulary} * shape.hidden - 1;
  for (const std::size_t element : {std::size_t{1300}, last}) {
    const OpenModel model = WithBothTables(element, 1).open();
    EXPECT_TRUE(has_head_of_its_own(model)) << element;
    EXPECT_THAT(model.warning, HasSubstr(fmt::format("differs at [{}, {}]", element / shape.hidden,
                                                     element % shape.hidden)));
  }
}

TEST(TiedTables, AHeadOfTheSameValuesIsHeldAndReadOnce) {
  const OpenModel model = WithBothTables(0, kNone).open();
  EXPECT_FALSE(has_head_of_its_own(model));
  EXPECT_EQ(model.bindings.unexpected.size(), 0u);
  EXPECT_EQ(model.warning, "");
}

/// A model opened as tied whatever its tables hold, the head of which is stored in two parts.
OpenModel tied_with_head_in_two_parts(const WithBothTables& checkpoint) {
  OpenModel model = checkpoint.open();
  model.config["tie_word_embeddings"] = true;
  model.graph = build_graph(model.config);
  for (TensorEntry& tensor : model.catalog.tensors) {
    if (tensor.name != "lm_head.weight") continue;
    const TensorPart whole = tensor.parts.front();
    const std::uint64_t rows = tensor.shape[0], columns = tensor.shape[1], above = rows / 3;
    TensorPart first = whole, second = whole;
    first.begin = {0, 0};
    first.shape = {above, columns};
    second.begin = {above, 0};
    second.shape = {rows - above, columns};
    second.offset += above * columns * sizeof(float);
    tensor.parts = {first, second};
  }
  model.bindings = bind(model.graph, model.catalog, false);
  return model;
}

TEST(TiedTables, TablesOfSeveralPartsAreComparedToo) {
  LocalFiles files;
  const WithBothTables same(0, kNone), different(20'000, 1);
  EXPECT_EQ(own_head(files, tied_with_head_in_two_parts(same), {}), "");
  int alive = 0;
  EXPECT_THAT(own_head(files, tied_with_head_in_two_parts(different), [&] { ++alive; }),
              HasSubstr("differs at [384, 32]"));
  EXPECT_GT(alive, 0);
}

// The scales of codes are not compared: a head that has any is kept.
TEST(TiedTables, AHeadThatIsStoredAsCodesIsOneOfItsOwn) {
  LocalFiles files;
  OpenModel model = tied_with_head_in_two_parts(WithBothTables(0, kNone));
  model.catalog.tensors[model.bindings.twins.at(0).other].dtype = DType::F8_E4M3;
  EXPECT_THAT(own_head(files, model, {}), HasSubstr("the second as codes"));
}

TEST(TiedTables, AreReadByOneRankForAll) {
  const WithBothTables checkpoint(20'000, 1);
  const OpenModel model = tied_with_head_in_two_parts(checkpoint);
  LocalFiles local;
  RecordingFiles recording(local);
  const std::string told = own_head(recording, model, {});
  EXPECT_LT(recording.log().size(), 1000u);
  ReplayFiles replay(recording.log());
  EXPECT_EQ(own_head(replay, model, [] { FAIL() << "a second rank reads"; }), told);
}

}  // namespace
}  // namespace initrt::testing
