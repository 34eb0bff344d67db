// Tied embeddings, where the config and the tensors do not say the same.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"
#include "tests/support/temporary_directory.h"

namespace initrt::testing {
namespace {

/// A checkpoint with both tables whose config says that they are tied. @param element of the head
/// that differs from the embedding, from the first of `different` on
OpenModel open_with_both(std::size_t first_different) {
  const SmallLlama shape;
  std::vector<SmallTensor> tensors = random_tensors(shape, 5);
  const std::vector<float> embedding = tensor_named(tensors, "model.embed_tokens.weight").values;
  for (SmallTensor& tensor : tensors) {
    if (tensor.name != "lm_head.weight") continue;
    tensor.values = embedding;
    for (std::size_t i = first_different; i < embedding.size(); ++i) tensor.values[i] += 1.0f;
  }
  const TemporaryDirectory directory;
  write_safetensors(directory.path(), shape, tensors, DType::F32, 1);
  nlohmann::json config = config_of(shape);
  config["tie_word_embeddings"] = true;
  std::ofstream(directory.path() + "/config.json") << config;
  return open_checkpoint_as(directory.path(), "32-true");
}

bool has_head_of_its_own(const OpenModel& model) {
  return model.graph.embedding.size() == 1 && model.graph.units.front().kind == UnitKind::Embedding;
}

TEST(TiedTables, AHeadOfOtherValuesIsKeptThoughTheConfigSaysTied) {
  EXPECT_TRUE(has_head_of_its_own(open_with_both(0)));
  const SmallLlama shape;
  const std::size_t elements = std::size_t{shape.vocabulary} * shape.hidden;
  EXPECT_TRUE(has_head_of_its_own(open_with_both(elements / 2)));
}

TEST(TiedTables, AHeadOfTheSameValuesIsHeldAndReadOnce) {
  const OpenModel model = open_with_both(std::size_t{1} << 40);
  EXPECT_FALSE(has_head_of_its_own(model));
  EXPECT_EQ(model.bindings.unexpected.size(), 0u);
}

}  // namespace
}  // namespace initrt::testing
