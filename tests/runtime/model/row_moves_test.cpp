// What moves where rows go to the weights, of graphs that families build.
#include "sharding/row_moves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/model/family.h"
#include "sharding/memory_plan.h"

namespace initrt::testing {
namespace {

using ::testing::ElementsAre;

using Json = nlohmann::json;

Json dense(std::uint64_t hidden, std::uint64_t intermediate, std::uint64_t layers,
           std::uint64_t heads, std::uint64_t kv_heads, std::uint64_t vocabulary) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", hidden},
          {"intermediate_size", intermediate},
          {"num_hidden_layers", layers},
          {"num_attention_heads", heads},
          {"num_key_value_heads", kv_heads},
          {"vocab_size", vocabulary},
          {"max_position_embeddings", 8192},
          {"rms_norm_eps", 1e-5},
          {"tie_word_embeddings", false}};
}

Json llama_8b() { return dense(4096, 14336, 32, 32, 8, 128256); }
Json llama_70b() { return dense(8192, 28672, 80, 64, 8, 128256); }
Json llama_405b() { return dense(16384, 53248, 126, 128, 8, 128256); }

Json mixtral_8x22b() {
  Json config = dense(6144, 16384, 56, 48, 8, 32768);
  config["architectures"] = {"MixtralForCausalLM"};
  config["num_local_experts"] = 8;
  config["num_experts_per_tok"] = 2;
  return config;
}

Json qwen3_30b_a3b() {
  Json config = dense(2048, 6144, 48, 32, 4, 151936);
  config["architectures"] = {"Qwen3MoeForCausalLM"};
  config["head_dim"] = 128;
  config["moe_intermediate_size"] = 768;
  config["num_experts"] = 128;
  config["num_experts_per_tok"] = 8;
  config["norm_topk_prob"] = true;
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = Json::array();
  return config;
}

struct Planned {
  explicit Planned(const Json& config, std::uint32_t world, const char* precision = "bf16-true")
      : graph(build_graph(config)),
        layout(make_layout(graph, *precision_from_name(precision))),
        cut(make_cut(layout, world)) {}

  Graph graph;
  Layout layout;
  Cut cut;
};

// The kinds of a unit's steps: L(ocal), P(roducts) that return, K(ept) products, G(ate).
std::string kinds(const Unit& unit) {
  std::string text;
  for (const MoveStep& step : move_steps(unit)) {
    if (step.kind == MoveStep::Kind::Local) text += 'L';
    if (step.kind == MoveStep::Kind::Gate) text += 'G';
    if (step.kind != MoveStep::Kind::Products) continue;
    text += step.keeps ? 'K' : 'P';
    if (step.count > 1) text += std::to_string(step.count);
    if (step.of_columns) text += 'c';
  }
  return text;
}

TEST(MoveSteps, OfABlockSendQkvTogetherAndGatedColumnsOnce) {
  const Graph graph = build_graph(llama_8b());
  // Norm; q, k, v; rotary of q and k, attention; o; add, norm; gate and up; their product; down;
  // add.
  EXPECT_EQ(kinds(graph.units[1]), "LP3LLLPLLK2GPcL");
  EXPECT_EQ(kinds(graph.units.back()), "P");
}

TEST(MoveSteps, OfAnExpertAreThoseOfAFeedForward) {
  const Graph graph = build_graph(qwen3_30b_a3b());
  ASSERT_EQ(graph.units[2].kind, UnitKind::Expert);
  EXPECT_EQ(kinds(graph.units[2]), "LK2GPcL");
}

TEST(MoveSteps, CoverEveryOpOnceInOrder) {
  for (const Json& config : {llama_8b(), qwen3_30b_a3b()}) {
    const Graph graph = build_graph(config);
    for (const Unit& unit : graph.units) {
      std::uint32_t next = 0;
      for (const MoveStep& step : move_steps(unit)) {
        EXPECT_EQ(step.first, next);
        next += step.count;
      }
      EXPECT_EQ(next, unit.ops.size());
    }
  }
}

// FSDP2 cuts so too; world sizes that divide no row count waste more (up to a row a parameter).
TEST(Cut, PadsLittleOnTheShapesOfLargeModels) {
  for (const Json& config :
       {llama_8b(), llama_70b(), llama_405b(), mixtral_8x22b(), qwen3_30b_a3b()}) {
    for (const std::uint32_t world : {1u, 2u, 4u, 8u, 16u, 32u, 64u}) {
      const Planned planned(config, world);
      const auto shards = static_cast<double>(planned.cut.chunks_bytes) * world;
      EXPECT_LE(shards, 1.01 * static_cast<double>(planned.layout.bytes()))
          << planned.graph.family << ", " << planned.layout.bytes() << " bytes over " << world;
    }
  }
}

TEST(MoveCosts, CrossWhereRowsTakeAsManyBytesAsWeights) {
  const Planned planned(llama_70b(), 8);
  const MoveCosts costs = move_costs(planned.graph, planned.layout, planned.cut);
  // 80 blocks: x for q, k, v; o's and gate's inputs, down's; and x for the head.
  EXPECT_EQ(costs.bytes_per_row, 4 * (80 * (3 * 8192 + 28672ull) + 8192));
  EXPECT_EQ(costs.bytes_per_own_row, 4 * (80 * (8192 + 2 * 1024 + 2 * 8192ull) + 128256));
  const std::uint64_t crossing = costs.rows_at_crossing();
  EXPECT_GT(crossing, 3000u);
  const auto own = [](std::uint64_t rows) { return (rows + 7) / 8; };
  EXPECT_LE(costs.of_rows(crossing, own(crossing)), costs.of_weights(crossing));
  EXPECT_GT(costs.of_rows(crossing + 8, own(crossing + 8)), costs.of_weights(crossing + 8));
}

TEST(MoveCosts, CountTheExpertsThatRowsChoose) {
  const Planned planned(qwen3_30b_a3b(), 8);
  const MoveCosts costs = move_costs(planned.graph, planned.layout, planned.cut);
  const double one = costs.of_weights(1) - costs.of_weights(0);
  EXPECT_NEAR(one, 7.0 / 8 * 8 / 128 * static_cast<double>(costs.expert_bytes), 1e6);
  EXPECT_GT(costs.expert_bytes, 9 * costs.weight_bytes);
}

RunShape shape_of(std::uint64_t sequences, std::uint64_t sweep_rows, Move move,
                  std::uint64_t active, std::uint32_t world) {
  RunShape shape;
  shape.gather = GatherKind::Collective;
  shape.sequences = shape.logit_rows = sequences;
  shape.sweep_rows = sweep_rows;
  shape.move = move;
  shape.active_ranks = active;
  shape.moved_rows = moved_rows(shape, world);
  return shape;
}

// One prompt's job holds 1/N of the model, and little more.
TEST(MovePlan, HoldsNoSlotsWhereNoSweepNeedsThem) {
  const Planned planned(llama_70b(), 8);
  const RunShape shape = shape_of(1, 512, Move::Auto, 1, 8);
  const Placement placement = plan_memory(planned.graph, planned.layout, 8, shape);
  EXPECT_FALSE(placement.moves_weights);
  EXPECT_EQ(placement.memory[MemoryCategory::Slots], 0u);
  EXPECT_LE(static_cast<double>(placement.memory[MemoryCategory::Shard] +
                                placement.memory[MemoryCategory::Resident] +
                                placement.memory[MemoryCategory::Exchange]),
            1.01 * static_cast<double>(planned.layout.bytes()) / 8);
}

TEST(MovePlan, KeepsSlotsWhereASweepMayHaveMoreRowsThanCross) {
  const Planned planned(llama_70b(), 64);
  const RunShape many = shape_of(8, 512, Move::Auto, 64, 64);
  const Placement placement = plan_memory(planned.graph, planned.layout, 64, many);
  EXPECT_TRUE(placement.moves_weights);
  EXPECT_GT(placement.memory[MemoryCategory::Slots], 0u);
  EXPECT_FALSE(moves_rows(many, placement, 64 * 512, 512)) << "a prefill";
  EXPECT_TRUE(moves_rows(many, placement, 64 * 8, 8)) << "a decode step";
}

TEST(MovePlan, OfWeightsAloneHasNothingForRows) {
  const Planned planned(llama_8b(), 2);
  const RunShape shape = shape_of(1, 512, Move::Weights, 2, 2);
  EXPECT_EQ(shape.moved_rows, 0u);
  const Placement placement = plan_memory(planned.graph, planned.layout, 2, shape);
  EXPECT_EQ(placement.memory[MemoryCategory::Exchange], 0u);
  EXPECT_FALSE(moves_rows(shape, placement, 1, 1));
}

// The memory of a rank with some units resident, all of it counted anew: what plan_memory() keeps
// up as it makes one after the other resident.
MemoryPlan counted_anew(const Planned& planned, const RunShape& shape, std::uint32_t world,
                        const std::vector<bool>& resident) {
  RunShape without = shape;
  without.budget = 0;
  Placement placement = plan_memory(planned.graph, planned.layout, world, without);
  const HostSlots host_before = host_slots(planned.graph, placement.cut, placement.slots);
  placement.cut = make_cut(planned.layout, world, resident);
  placement.costs = move_costs(planned.graph, planned.layout, placement.cut);
  const std::uint64_t rows = shape.active_ranks * shape.sweep_rows;
  placement.moves_weights = true;  // or moves_rows() would not compare
  placement.moves_weights = !moves_rows(shape, placement, rows, shape.sweep_rows);
  std::uint64_t units = 0, largest = 0;
  for (std::uint32_t unit = 0; unit < planned.graph.units.size(); ++unit) {
    if (planned.graph.units[unit].kind == UnitKind::Embedding || resident[unit]) continue;
    largest = std::max(largest, placement.cut.gathered_bytes(unit));
    ++units;
  }
  const std::uint64_t slots =
      placement.moves_weights ? std::min<std::uint64_t>(shape.prefetch + 1, units) : 0;
  MemoryPlan memory = placement.memory;
  memory[MemoryCategory::Shard] = placement.cut.chunks_bytes;
  memory[MemoryCategory::Resident] =
      placement.cut.resident_bytes + (shape.moved_rows > 0 ? placement.cut.replicated_bytes : 0);
  memory[MemoryCategory::Slots] = slots * largest;
  if (shape.through_host) {
    const HostSlots host =
        host_slots(planned.graph, placement.cut, static_cast<std::uint32_t>(slots));
    memory[MemoryCategory::Pinned] += host.bytes() - host_before.bytes();
  }
  return memory;
}

TEST(MovePlan, ABudgetKeepsTheUnitsThatFitCountedOneByOne) {
  Json experts = mixtral_8x22b();
  experts["num_hidden_layers"] = 3;
  for (const Json& config : {dense(512, 1024, 5, 8, 8, 3000), experts}) {
    for (const Move move : {Move::Weights, Move::Auto}) {
      for (const bool through_host : {false, true}) {
        constexpr std::uint32_t kWorld = 4;
        const Planned planned(config, kWorld);
        RunShape shape = shape_of(8, 4096, move, kWorld, kWorld);
        shape.through_host = shape.device.discrete_memory = through_host;
        if (through_host)
          shape.speeds = {.memory = 1e12, .compute = 1e14, .link = 2e10, .latency = 1e-5};
        const auto bytes = [&](const MemoryPlan& memory) {
          return memory.device_total(through_host);
        };
        std::vector<bool> resident(planned.graph.units.size(), false);
        std::size_t compared = 0;
        std::uint64_t budget = bytes(counted_anew(planned, shape, kWorld, resident));
        for (std::uint32_t unit = 0; unit < resident.size(); ++unit) {
          if (planned.graph.units[unit].kind == UnitKind::Embedding) continue;
          std::vector<bool> one_more = resident;
          one_more[unit] = true;
          const MemoryPlan more = counted_anew(planned, shape, kWorld, one_more);
          shape.budget = std::max(budget, bytes(more));
          const Placement fits = plan_memory(planned.graph, planned.layout, kWorld, shape);
          for (std::uint32_t i = 0; fits.moves_weights && i <= unit; ++i) {
            EXPECT_EQ(fits.cut.units[i].resident, one_more[i]) << i << " of " << unit;
          }
          // The last unit may fit too: without it there are no slots.
          const bool last = unit + 1 == resident.size();
          if (fits.moves_weights && (last || !fits.cut.units[unit + 1].resident)) {
            EXPECT_EQ(fits.memory.bytes, more.bytes) << unit;
            ++compared;
          }
          if (bytes(more) > budget) {
            shape.budget = bytes(more) - 1;
            const Placement less = plan_memory(planned.graph, planned.layout, kWorld, shape);
            EXPECT_FALSE(less.cut.units[unit].resident) << unit;
          }
          budget = std::max(budget, bytes(more));
          resident = one_more;
        }
        EXPECT_GT(compared, resident.size() / 2);
      }
    }
  }
}

TEST(MovePlan, OfOneRankMovesNothing) {
  EXPECT_EQ(shape_of(1, 512, Move::Activations, 1, 1).moved_rows, 0u);
}

}  // namespace
}  // namespace initrt::testing
