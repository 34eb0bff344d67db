// The answer depends on the weights and the tokens alone: logits are bitwise equal however many
// ranks there are and whatever they share units over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <ostream>

#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

// Rank r scores the r-th: of different lengths, some shorter than a sweep; the fourth has nothing.
const std::vector<std::vector<TokenId>> kTexts = {{3, 508, 0, 77, 250, 12, 311, 9, 508, 1, 42},
                                                  {5, 6, 7},
                                                  {499, 228, 229, 457, 458, 3},
                                                  {},
                                                  {1},
                                                  {8, 8, 8, 8, 8, 8, 8},
                                                  {100, 200, 300, 400}};
constexpr std::uint32_t kChunk = 4;

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * 4) == 0);
}

std::vector<std::vector<float>> logits_of_one_rank(const OpenModel& model) {
  std::vector<std::vector<float>> all;
  const auto failures = run_world(model, {}, [&](std::uint32_t, RankModel& rank) {
    for (const auto& text : kTexts) all.push_back(score_all(rank.engine(), text, kChunk));
  });
  EXPECT_EQ(failures.front(), "");
  return all;
}

void expect_same_bits(const OpenModel& model, const Setting& setting,
                      const std::vector<std::vector<float>>& expected) {
  std::vector<std::vector<float>> got(setting.world);
  const auto failures = run_world(model, setting, [&](std::uint32_t rank, RankModel& instance) {
    got[rank] = score_all(instance.engine(), kTexts[rank], kChunk);
  });
  EXPECT_THAT(failures, Each(IsEmpty())) << setting;
  for (std::uint32_t rank = 0; rank < setting.world; ++rank) {
    EXPECT_TRUE(same_bits(got[rank], expected[rank])) << setting << ", rank " << rank;
  }
}

struct Case {
  std::string precision;
  bool tied;
  std::string quantize = "none";
  DType blocks = DType::F32;  // of a GGUF file, where they are held as they are stored
};

void PrintTo(const Case& of, std::ostream* out) {
  *out << of.precision << (of.tied ? ", tied" : ", untied") << ", " << of.quantize;
}

// Shapes that hold whole blocks in each row.
SmallLlama llama_of(const Case& of) {
  SmallLlama model;
  model.tied = of.tied;
  if (of.blocks != DType::F32) {
    const std::uint32_t block = info(of.blocks).block_elements;
    model.hidden = model.intermediate = block;
    model.heads = 4;
    model.head_size = block / model.heads;
  }
  return model;
}

class SameBits : public ::testing::TestWithParam<Case> {
 protected:
  const SmallCheckpoint checkpoint_{llama_of(GetParam())};
  const OpenModel model_ = open();
  const std::vector<std::vector<float>> expected_ = logits_of_one_rank(model_);

 private:
  [[nodiscard]] OpenModel open() const {
    std::string path = checkpoint_.directory.path();
    if (GetParam().blocks != DType::F32) {
      path += "/model.gguf";
      write_gguf(path, checkpoint_.model, checkpoint_.tensors, GetParam().blocks);
    }
    return open_checkpoint_as(path, GetParam().precision, GetParam().quantize);
  }
};

std::string name_of(const ::testing::TestParamInfo<Case>& of) {
  std::string text = of.param.precision;
  text.erase(text.find('-'), 1);
  text += of.param.tied ? "Tied" : "Untied";
  if (of.param.quantize == "none") return text;
  text += of.param.blocks == DType::F32 ? of.param.quantize : std::string(name(of.param.blocks));
  std::erase_if(text, [](char c) { return c == '.' || c == '-'; });
  return text;
}

INSTANTIATE_TEST_SUITE_P(Models, SameBits,
                         ::testing::Values(Case{"32-true", false}, Case{"32-true", true},
                                           Case{"bf16-true", false}, Case{"bf16-true", true},
                                           Case{"16-true", false}, Case{"16-true", true}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(
    Quantized, SameBits,
    ::testing::Values(Case{"bf16-true", false, "llm.int8"}, Case{"32-true", true, "llm.int8"},
                      Case{"bf16-true", true, "nf4"}, Case{"16-true", false, "fp4"},
                      Case{"bf16-true", true, "nf4-dq"}, Case{"32-true", false, "fp4-dq"},
                      Case{"bf16-true", false, "stored", DType::Q4_0},
                      Case{"bf16-true", true, "stored", DType::Q8_0},
                      Case{"32-true", false, "stored", DType::Q4_K},
                      Case{"bf16-true", true, "stored", DType::Q6_K}),
    name_of);

TEST_P(SameBits, ForEveryWorldSizeAndTransport) {
  for (const std::uint32_t world : {1u, 2u, 3u, 4u, 7u}) {
    for (const Transport transport : transports_between(world)) {
      Setting setting;
      setting.world = world;
      setting.transport = transport;
      expect_same_bits(model_, setting, expected_);
    }
  }
}

// How many ranks there are is the host's to know: where GPUs compute, one world of several is
// enough.
std::vector<std::uint32_t> worlds_of_several() {
  if (on_gpus()) return {3};
  return {2, 3, 4, 7};
}

// All ranks' rows at once, and some of them after the others.
TEST_P(SameBits, WhateverMoves) {
  for (const std::uint32_t world : worlds_of_several()) {
    for (const Transport transport : transports_between(world)) {
      for (const Move move : {Move::Activations, Move::Auto}) {
        for (const std::uint64_t rows : {0ull, 5ull}) {
          Setting setting;
          setting.world = world;
          setting.transport = transport;
          setting.move = move;
          setting.moved_rows = rows;
          expect_same_bits(model_, setting, expected_);
        }
      }
    }
  }
}

TEST_P(SameBits, WhereRowsMoveWithAnyThreadCountAndBudget) {
  Setting setting;
  setting.world = 3;
  setting.transport = Transport::Mpi;
  setting.move = Move::Activations;
  setting.threads = 2;
  expect_same_bits(model_, setting, expected_);
  const std::uint64_t least = place(model_, setting).memory.total();
  for (const std::uint64_t more : {60'000ull, 1ull << 30}) {
    for (const Move move : {Move::Activations, Move::Auto}) {
      setting.budget = least + more;
      setting.move = move;
      expect_same_bits(model_, setting, expected_);
    }
  }
}

TEST_P(SameBits, ForEveryPrefetch) {
  std::vector<std::uint32_t> worlds = worlds_of_several();
  worlds.push_back(1);
  for (const std::uint32_t world : worlds) {
    for (const std::uint32_t prefetch : {0u, 3u, 100u}) {
      Setting setting;
      setting.world = world;
      setting.transport = Transport::Mpi;
      setting.prefetch = prefetch;
      expect_same_bits(model_, setting, expected_);
    }
  }
}

TEST_P(SameBits, ForEveryStagingSizeAndThreadCount) {
  std::vector<Transport> transports = transports_between(3);
  transports.push_back(Transport::Self);
  const std::vector<unsigned> thread_counts =  // of CPUs
      on_gpus() ? std::vector{1u} : std::vector{1u, 2u};
  for (const Transport transport : transports) {
    for (const unsigned threads : thread_counts) {
      for (const std::uint64_t staging : {64u << 10, 333'333u, 1u << 20}) {
        Setting setting;
        setting.world = transport == Transport::Self ? 1 : 3;
        setting.transport = transport;
        setting.threads = threads;
        setting.staging = staging;
        expect_same_bits(model_, setting, expected_);
      }
    }
  }
}

// From a little more than needed to more than all: none, some and all units resident.
TEST_P(SameBits, ForEveryMemoryBudget) {
  for (const std::uint32_t world : {2u, 3u}) {
    Setting setting;
    setting.world = world;
    setting.transport = Transport::Mpi;
    const std::uint64_t least = place(model_, setting).memory.total();
    for (const std::uint64_t more : {0ull, 60'000ull, 150'000ull, 1ull << 30}) {
      setting.budget = least + more;
      expect_same_bits(model_, setting, expected_);
    }
  }
}

TEST_P(SameBits, ForAnyNumberOfRowsInASweep) {
  for (const std::uint32_t chunk : {1u, 3u, 8u}) {
    const auto failures = run_world(model_, {}, [&](std::uint32_t, RankModel& rank) {
      for (std::size_t i = 0; i < kTexts.size(); ++i) {
        EXPECT_TRUE(same_bits(score_all(rank.engine(), kTexts[i], chunk), expected_[i]))
            << chunk << " rows, text " << i;
      }
    });
    EXPECT_EQ(failures.front(), "");
  }
}

// Blocks are decoded and rounded where they are used as they would be while they stream.
class StoredBlocks : public SameBits {};

TEST_P(StoredBlocks, GiveTheBitsOfTheSameRoundedWhileLoading) {
  const OpenModel plain =
      open_checkpoint_as(checkpoint_.directory.path() + "/model.gguf", GetParam().precision);
  const std::vector<std::vector<float>> expected = logits_of_one_rank(plain);
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    EXPECT_TRUE(same_bits(expected_[i], expected[i])) << "text " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, StoredBlocks,
                         ::testing::Values(Case{"bf16-true", false, "stored", DType::Q4_0},
                                           Case{"16-true", false, "stored", DType::Q4_1},
                                           Case{"bf16-true", true, "stored", DType::Q8_0},
                                           Case{"32-true", false, "stored", DType::Q4_K},
                                           Case{"bf16-true", false, "stored", DType::Q5_K},
                                           Case{"bf16-true", true, "stored", DType::Q6_K}),
                         name_of);

TEST(SmallModel, HasWhatTheseTestsAreAbout) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "32-true");
  std::map<UnitKind, int> kinds;
  for (const Unit& unit : model.graph.units) ++kinds[unit.kind];
  EXPECT_EQ(kinds[UnitKind::Head], 3);
  const Cut cut = make_cut(model.layout, 7);
  const auto block = static_cast<std::size_t>(model.graph.execution_order().front());
  std::uint64_t last = 0, uneven = 0;
  for (std::size_t i = 0; i < model.layout.units[block].params.size(); ++i) {
    const std::uint64_t rows = model.layout.units[block].params[i].rows;
    last += cut.rows_of(static_cast<std::uint32_t>(block), i, rows, 6).count;
    uneven += rows % 7;
  }
  EXPECT_GT(last, 0u) << "the last of seven ranks holds nothing of a block";
  EXPECT_GT(uneven, 0u) << "all of seven ranks hold as many rows";
}

}  // namespace
}  // namespace initrt::testing
