// Published models that need several devices, planned from their configs alone: as many parameters
// as their makers say, all that ranks hold and read together being the model once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/load/loader.h"
#include "runtime/start/open_model.h"
#include "runtime/storage/local_files.h"
#include "sharding/read_totals.h"
#include "sharding/row_moves.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

/// What is published of a model, in billions.
struct Flagship {
  const char* name;
  double parameters, active;  ///< without layers that guess further tokens, with the head
  double stored_gb;           ///< of its checkpoint, without the same
};

class Flagships : public ::testing::TestWithParam<Flagship> {
 protected:
  static OpenModel open(const std::string& precision = "bf16-true") {
    LocalFiles files;
    ModelOptions options;
    options.path = source_path("tests/golden/flagships/") + GetParam().name;
    options.precision = precision;
    return open_model_or_config(files, options);
  }
};

INSTANTIATE_TEST_SUITE_P(Published, Flagships,
                         ::testing::Values(Flagship{"deepseek_v3", 671, 37, 674},
                                           Flagship{"kimi_k2", 1026, 32, 1029},
                                           Flagship{"glm_4_6", 353, 32, 706},
                                           Flagship{"gpt_oss_120b", 116.8, 5.1, 65.2},
                                           Flagship{"qwen3_next_80b", 79.7, 3.56, 159.3},
                                           Flagship{"nemotron_3_nano_30b", 31.6, 3.2, 63.2}),
                         [](const auto& of) { return of.param.name; });

TEST_P(Flagships, HaveTheParametersThatArePublished) {
  const OpenModel model = open();
  double parameters = 0;
  for (const Tensor& tensor : model.graph.tensors) {
    parameters += static_cast<double>(tensor.elements());
  }
  EXPECT_NEAR(parameters / 1e9, GetParam().parameters, 0.005 * GetParam().parameters);
  EXPECT_NEAR(static_cast<double>(model.bindings.payload_bytes) / 1e9, GetParam().stored_gb,
              0.005 * GetParam().stored_gb);
  const MoveCosts costs = move_costs(model.graph, model.layout, make_cut(model.layout, 8));
  EXPECT_NEAR(costs.operations_per_row / 2e9, GetParam().active, 0.05 * GetParam().active);
}

TEST_P(Flagships, AreHeldAndReadOnce) {
  const OpenModel model = open();
  const ReadLimits limits = read_limits(make_staging_ring(64u << 20));
  for (const std::uint32_t world : {8u, 16u, 64u}) {
    const Cut cut = make_cut(model.layout, world);
    const auto held = static_cast<double>(cut.chunks_bytes) * world;
    EXPECT_LE(held, 1.01 * static_cast<double>(model.layout.bytes())) << world;
    EXPECT_GE(held, static_cast<double>(model.layout.bytes())) << world;
    const ReadCounter reads({model.graph, model.layout, cut, model.bindings, model.catalog},
                            limits);
    double read = 0;
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      read += static_cast<double>(reads.of_rank(rank).bytes);
    }
    const auto payload = static_cast<double>(model.bindings.payload_bytes);
    EXPECT_GE(read, payload) << world;
    EXPECT_LE(read, 1.01 * payload) << world;
  }
}

}  // namespace
}  // namespace initrt::testing
