// Every model family against the reference implementation: tests/golden/families/, made by
// make_family_references.py. A prompt of 48 tokens, then 16 more one by one with the KV cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/exec/generate.h"
#include "runtime/export/convert.h"
#include "tests/golden/family_checkpoint.h"
#include "tests/golden/family_logits.h"
#include "tests/sharding/graph_invariants.h"
#include "tests/support/rank_model.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

const std::string kFamilies = source_path("tests/golden/families/");

class Families : public ::testing::TestWithParam<std::string> {
 protected:
  Families() { write_family_checkpoint(kFamilies + GetParam(), directory_.path()); }

  void SetUp() override { model_ = open_checkpoint_as(directory_.path(), "32-true"); }

  // What each rank gets; rank r brings its prompt in chunks of chunks[r].
  std::vector<std::vector<float>> logits(Transport transport,
                                         const std::vector<std::uint32_t>& chunks,
                                         Move move = Move::Weights) {
    Setting setting = family_setting();
    setting.move = move;
    setting.world = static_cast<std::uint32_t>(chunks.size());
    setting.transport = transport;
    std::vector<std::vector<float>> all(chunks.size());
    const auto failures = run_world(model_, setting, [&](std::uint32_t rank, RankModel& model) {
      all[rank] = logits_in_chunks(model.engine(), chunks[rank]);
    });
    EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty())) << setting;
    return all;
  }

  const TemporaryDirectory directory_;
  OpenModel model_;
};

TEST_P(Families, OpsReferToWhatIsThere) {
  for (const Unit& unit : model_.graph.units) {
    EXPECT_EQ(UnitInvariants(model_.graph, unit).broken(), "");
  }
}

TEST_P(Families, LogitsAreTheReferences) {
  const bool sees = GetParam() == "gemma3_conditional";  // its vision tower is not read
  EXPECT_EQ(model_.bindings.unexpected.empty(), !sees);
  expect_logits_of(kFamilies + GetParam() + "/logits.npy",
                   logits(Transport::Self, {kPrompt}).front(), model_.graph.vocabulary);
}

TEST_P(Families, LogitsHaveTheSameBitsInChunksAndOnManyRanks) {
  const std::vector<float> expected = logits(Transport::Self, {kPrompt}).front();
  ASSERT_EQ(expected.size(), kTokens * model_.graph.vocabulary);
  const auto expect_same = [&](Transport transport, const std::vector<std::uint32_t>& chunks,
                               Move move = Move::Weights) {
    const auto all = logits(transport, chunks, move);
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      ASSERT_EQ(all[rank].size(), expected.size()) << name(transport) << ", rank " << rank;
      EXPECT_EQ(std::memcmp(all[rank].data(), expected.data(), expected.size() * 4), 0)
          << name(transport) << ", rank " << rank << " of " << chunks.size() << ", chunks of "
          << chunks[rank] << ", move " << name(move);
    }
  };
  expect_same(Transport::Self, {5});
  for (const Transport transport : transports_between(3)) {
    expect_same(transport, {kPrompt, 5, 1});
  }
  expect_same(Transport::Mapped, {kPrompt, 5, 1}, Move::Activations);
  expect_same(Transport::Mpi, {5, 1, 7}, Move::Activations);
}

TEST_P(Families, ConvertedCheckpointHasTheNamesShapesAndValuesOfTheOriginal) {
  const TemporaryDirectory converted;
  ConvertOptions options;
  options.model.path = directory_.path();
  options.to = converted.path() + "/converted";
  convert_to_safetensors(options);
  const OpenModel again = open_checkpoint_as(options.to, "32-true");
  // The converted names are those of a whole model of text, with its prefixes.
  const bool sees = std::ranges::any_of(model_.catalog.tensors, [](const TensorEntry& tensor) {
    return tensor.name.find("language_model.") != std::string::npos;
  });
  if (model_.bindings.naming != "huggingface-base" && !sees) {
    std::set<std::uint32_t> used;
    for (const Binding& binding : model_.bindings.tensors) {
      for (const RowRun& run : binding.runs) used.insert(run.source);
    }
    EXPECT_EQ(again.catalog.tensors.size(), used.size());
    for (const std::uint32_t source : used) {
      const TensorEntry& before = model_.catalog.tensors[source];
      const std::int64_t after = again.catalog.find(before.name);
      ASSERT_GE(after, 0) << before.name;
      EXPECT_EQ(again.catalog.tensors[static_cast<std::size_t>(after)].shape, before.shape)
          << before.name;
    }
  }
  Setting two, three;
  two.world = 2;
  three.world = 3;
  two.transport = three.transport = Transport::Mapped;
  EXPECT_EQ(units_of(model_, two), units_of(again, three));
}

TEST(FamilyConversion, LeavesWhatStaysFloat32AsItIs) {
  const TemporaryDirectory original, converted;
  write_family_checkpoint(kFamilies + "glm4_moe", original.path());
  ConvertOptions options;
  options.model.path = original.path();
  options.to = converted.path() + "/converted";
  options.precision = "bf16-true";
  convert_to_safetensors(options);
  const OpenModel rounded = open_checkpoint_as(options.to, "32-true");
  const std::string gate = "model.layers.1.mlp.gate.";
  const auto dtype_of = [&](const std::string& name) {
    return rounded.catalog.tensors.at(static_cast<std::size_t>(rounded.catalog.find(name))).dtype;
  };
  EXPECT_EQ(dtype_of(gate + "e_score_correction_bias"), DType::F32);
  EXPECT_EQ(dtype_of(gate + "weight"), DType::BF16);
  // Held in bf16, the two are the same model.
  Setting two;
  two.world = 2;
  two.transport = Transport::Mapped;
  EXPECT_EQ(units_of(open_checkpoint_as(original.path(), "bf16-true"), two),
            units_of(open_checkpoint_as(options.to, "bf16-true"), two));
}

INSTANTIATE_TEST_SUITE_P(Golden, Families, ::testing::ValuesIn(family_cases(kFamilies)),
                         [](const auto& of) { return of.param; });

// The experts that each rank gathers in a sweep to which the first `bringing` bring a token each.
std::vector<std::uint32_t> experts_run(const OpenModel& model, Transport transport,
                                       std::uint32_t ranks, std::uint32_t bringing,
                                       ExpertBytes& bytes) {
  Setting setting;
  setting.world = ranks;
  setting.transport = transport;
  std::vector<std::uint32_t> experts(ranks);
  const auto failures = run_world(
      model, setting,
      [&](std::uint32_t rank, RankModel& instance) {
        std::vector<TokenId> token;
        if (rank < bringing) token.push_back(static_cast<TokenId>(40 + 7 * rank));
        const std::vector<RowInfo> row(token.size());
        (void)instance.engine().sweep({token, row, {}});
        if (rank == 0) bytes = instance.engine().experts();
      },
      [&](std::uint32_t rank, std::uint32_t unit) {
        if (model.graph.units[unit].kind == UnitKind::Expert) ++experts[rank];
      });
  EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty()));
  return experts;
}

TEST(Experts, OnlyThoseThatSomeRanksTokensChoseAreGathered) {
  const TemporaryDirectory directory;
  write_family_checkpoint(kFamilies + "qwen3_moe", directory.path());
  const OpenModel model = open_checkpoint_as(directory.path(), "32-true");
  constexpr std::uint32_t kLayers = 2, kChosen = 2, kAll = 8;  // one of three layers has none
  ExpertBytes one, two;
  EXPECT_EQ(experts_run(model, Transport::Self, 1, 1, one),
            std::vector<std::uint32_t>{kLayers * kChosen});
  EXPECT_EQ(one.used_bytes * kAll, one.all_bytes * kChosen);
  const std::vector<std::uint32_t> both = experts_run(model, Transport::Mpi, 2, 2, two);
  EXPECT_EQ(both[0], both[1]) << "what is gathered takes all ranks";
  EXPECT_GT(both[0], kLayers * kChosen) << "the ranks' tokens differ";
  EXPECT_LE(both[0], kLayers * kChosen * 2);
  EXPECT_EQ(two.all_bytes, one.all_bytes);
  EXPECT_EQ(experts_run(model, Transport::Mpi, 3, 1, two),
            std::vector<std::uint32_t>(3, kLayers * kChosen))
      << "ranks without tokens take part in gathering what others chose";
}

// The answer to the first 29 tokens, greedily, on one of the ranks.
std::vector<TokenId> answer_of(Engine& engine, std::uint32_t new_tokens) {
  const std::vector<TokenId> ids = family_tokens();
  std::vector<Prompt> prompts(1);
  prompts[0].tokens.assign(ids.begin(), ids.begin() + 29);
  prompts[0].max_new_tokens = new_tokens;
  GenerateOptions options;
  options.prefill_chunk = 7;
  std::vector<TokenId> answer;
  (void)generate(engine, prompts, 1, options, {}, [&](std::vector<Completion> finished) {
    for (Completion& one : finished) answer = std::move(one.tokens);
  });
  return answer;
}

// Sequences that grow past LongRoPE's original length of 32: what is chosen is what a model that
// sees all tokens at once would choose.
TEST(LongSequences, AreRunAgainWhereTheirKeysChange) {
  const TemporaryDirectory directory;
  write_family_checkpoint(kFamilies + "phi3_longrope", directory.path());
  const OpenModel model = open_checkpoint_as(directory.path(), "32-true");
  constexpr std::uint32_t kNew = 9;
  std::vector<TokenId> expected;
  const auto alone = run_world(model, family_setting(), [&](std::uint32_t, RankModel& rank) {
    EXPECT_EQ(rank.engine().restart_length(), 33u);
    expected = answer_of(rank.engine(), kNew);
    std::vector<TokenId> tokens = family_tokens();
    tokens.resize(29);
    for (const TokenId token : expected) {
      const std::vector<float> logits = score_all(rank.engine(), tokens, 48);
      const auto last = logits.end() - static_cast<std::ptrdiff_t>(rank.engine().vocabulary());
      EXPECT_EQ(token, std::max_element(last, logits.end()) - last)
          << "after " << tokens.size() << " tokens";
      tokens.push_back(token);
    }
  });
  EXPECT_THAT(alone, ::testing::Each(::testing::IsEmpty()));
  EXPECT_EQ(expected.size(), kNew);

  Setting two = family_setting();
  two.world = 2;
  two.transport = Transport::Mpi;
  std::vector<std::vector<TokenId>> answers(2);
  const auto together = run_world(model, two, [&](std::uint32_t rank, RankModel& instance) {
    answers[rank] = answer_of(instance.engine(), kNew);
  });
  EXPECT_THAT(together, ::testing::Each(::testing::IsEmpty()));
  EXPECT_THAT(answers, ::testing::UnorderedElementsAre(expected, ::testing::IsEmpty()));
}

TEST(FamilyValues, AreTheOnesThatTheReferencesWereMadeWith) {
  std::vector<TokenId> ids;
  for (const float u : uniform_values("tokens", kTokens)) {
    ids.push_back(static_cast<TokenId>((u + 1.0f) / 2.0f * 250.0f));
  }
  EXPECT_EQ(ids, family_tokens());
}

}  // namespace
}  // namespace initrt::testing
