// Models with gated delta nets or state spaces: what they keep of a sequence besides keys and
// values, and how their matrices lie in files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden/family_checkpoint.h"
#include "tests/golden/family_logits.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/runtime/exec/answers.h"
#include "tests/sharding/errors.h"
#include "tests/support/process.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kFamilies = source_path("tests/golden/families/");

/// A case of tests/golden/families as a checkpoint.
struct Checkpoint {
  TemporaryDirectory directory;
  OpenModel model;

  explicit Checkpoint(const std::string& family, const std::string& precision = "32-true") {
    write_family_checkpoint(kFamilies + family, directory.path());
    model = open_checkpoint_as(directory.path(), precision);
  }
};

std::vector<Prompt> six_prompts() {
  std::vector<Prompt> prompts;
  for (std::uint32_t index = 0; index < 6; ++index) {
    Prompt prompt{index, {}, 5};
    for (std::uint32_t i = 0; i < index * 5 % 7 + 1; ++i) {
      prompt.tokens.push_back(static_cast<TokenId>((index * 131 + i * i * 17) % 250));
    }
    prompts.push_back(prompt);
  }
  return prompts;
}

TEST(DeltaNets, ASlotThatIsUsedAgainKnowsNothingOfTheSequenceBefore) {
  for (const char* family : {"qwen3_next", "granitemoehybrid"}) {
    const Checkpoint checkpoint(family);
    const std::vector<Prompt> prompts = six_prompts();
    Answers expected;
    for (const Prompt& prompt : prompts) expected.merge(answers_of(checkpoint.model, {prompt}, {}));
    for (const Way& way : {Way{1, Transport::Self, 1, 64}, Way{1, Transport::Self, 4, 3},
                           Way{2, Transport::Mapped, 2, 2}, Way{3, Transport::Mpi, 1, 1}}) {
      EXPECT_EQ(answers_of(checkpoint.model, prompts, way), expected) << family << ", " << way;
    }
  }
}

TEST(DeltaNets, RowsThatDoNotFollowThoseBeforeAreRefused) {
  const Checkpoint checkpoint("qwen3_5_text");
  Setting setting = family_setting();
  setting.sequences = 2;
  const auto failures = run_world(checkpoint.model, setting, [](std::uint32_t, RankModel& rank) {
    const auto sweep = [&](const std::vector<RowInfo>& rows) {
      const std::vector<TokenId> tokens(rows.size(), 7);
      (void)rank.engine().sweep({tokens, rows, {}});
    };
    sweep({{0, 0, 3}, {0, 1, 3}, {1, 0, 1}});
    EXPECT_THAT(error_of([&] {
                  sweep({{0, 3, 4}});
                }),
                HasSubstr("position 3 of sequence 0 does not follow position 1"));
    EXPECT_THAT(error_of([&] { sweep({{1, 2, 3}}); }), HasSubstr("does not follow position 0"));
    sweep({{0, 0, 1}});  // begins again
    EXPECT_THAT(error_of([&] {
                  sweep({{0, 1, 3}, {1, 1, 3}, {0, 2, 3}});
                }),
                HasSubstr("position 2 of sequence 0"))
        << "the rows of a sequence are neighbours";
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

// Three layers of 4 value heads of 8 by 12, with 3 inputs of 2 * 16 + 48 columns.
TEST(DeltaNets, StatesArePlannedMemoryThatDoesNotGrowWithTheContext) {
  for (const char* precision : {"32-true", "bf16-true"}) {
    const Checkpoint checkpoint("qwen3_next", precision);
    Setting setting;
    setting.sequences = 3;
    const auto kv_bytes = [&](std::uint64_t context) {
      setting.context = context;
      return place(checkpoint.model, setting).memory[MemoryCategory::KvCache];
    };
    const std::uint64_t element = precision == std::string("32-true") ? 4 : 2;
    const std::uint64_t keys = 2 * 3 * 2 * 16 * element;  // of a position, of one layer
    constexpr std::uint64_t kStates = 3ull * 3 * 4 * (4 * 8 * 12 + 3 * (2 * 16 + 48));
    EXPECT_EQ(kv_bytes(128) - kv_bytes(64), 64 * keys);
    EXPECT_EQ(kv_bytes(64), 64 * keys + kStates) << "all are multiples of 64 bytes";
    for (const Transport transport : {Transport::Mapped, Transport::Mpi}) {
      for (const Move move : {Move::Weights, Move::Activations}) {
        setting.world = 3;
        setting.transport = transport;
        setting.move = move;
        const auto failures = run_ranks(setting.world, [&](Communicator& comm) {
          RankModel rank(checkpoint.model, setting, comm);
          EXPECT_EQ(rank.ledger().held().bytes, rank.placement().memory.bytes) << setting;
          rank.load();
        });
        EXPECT_THAT(failures, Each(IsEmpty())) << setting;
      }
    }
  }
}

// Two layers of 8 heads of 10 by 12, with 3 inputs of 96 + 2 * 20 columns.
TEST(StateSpaces, ArePlannedMemoryThatDoesNotGrowWithTheContext) {
  const Checkpoint checkpoint("granitemoehybrid");
  Setting setting;
  setting.sequences = 3;
  const auto kv_bytes = [&](std::uint64_t context) {
    setting.context = context;
    return place(checkpoint.model, setting).memory[MemoryCategory::KvCache];
  };
  constexpr std::uint64_t kKeys = 2 * 3 * 2 * 12 * 4;  // of a position, of one layer
  constexpr std::uint64_t kStates = 2ull * 3 * 4 * (8 * 10 * 12 + 3 * (96 + 2 * 20));
  EXPECT_EQ(kv_bytes(128) - kv_bytes(64), 64 * kKeys);
  EXPECT_GE(kv_bytes(64), 64 * kKeys + kStates);
  EXPECT_LT(kv_bytes(64), 64 * kKeys + kStates + 8 * 64) << "each begins at a multiple of 64";
}

// Each rank reads its rows, out of those of all key heads, of queries and gates, of all experts.
TEST(DeltaNets, MatricesThatAreFusedAreReadOnce) {
  for (const char* family : {"qwen3_next", "qwen3_next_layer_types", "qwen3_5_moe",
                             "granitemoehybrid", "nemotron_h_experts"}) {
    const Checkpoint checkpoint(family);
    const OpenModel& model = checkpoint.model;
    for (const std::uint32_t ranks : {1u, 2u, 3u}) {
      const std::uint64_t bytes = bytes_read(model, ranks, 1u << 20);
      // Of taps every rank that has one reads all; small gaps are read along.
      EXPECT_GE(bytes, model.bindings.payload_bytes) << family << ", ranks " << ranks;
      EXPECT_LE(bytes, model.bindings.payload_bytes * 1.03) << family << ", ranks " << ranks;
    }
  }
}

// "mlp.experts.gate_up_proj" as the experts' own matrices.
void add_apart(SafetensorsWriter& writer, const std::string& name, const FamilyTensor& tensor) {
  const bool both = name.ends_with("gate_up_proj");
  const std::string module = name.substr(0, name.rfind('.') + 1);
  const std::uint64_t rows = tensor.shape[1] / (both ? 2 : 1), columns = tensor.shape[2];
  std::vector<std::string> parts = {"down_proj"};
  if (both) parts = {"gate_proj", "up_proj"};
  auto from = tensor.values.begin();
  for (std::uint64_t expert = 0; expert < tensor.shape[0]; ++expert) {
    for (const std::string& part : parts) {
      const auto to = from + static_cast<std::ptrdiff_t>(rows * columns);
      writer.add(module + std::to_string(expert) + "." + part + ".weight", DType::F32,
                 {rows, columns}, std::vector<float>(from, to));
      from = to;
    }
  }
}

TEST(DeltaNets, ExpertsApartAreThoseOfAllInOne) {
  const Checkpoint checkpoint("qwen3_5_moe");
  const TemporaryDirectory apart;
  SafetensorsWriter writer;
  for (const auto& [name, tensor] : family_tensors(kFamilies + "qwen3_5_moe/tensors.json")) {
    if (name.find("mlp.experts.") != std::string::npos) {
      add_apart(writer, name, tensor);
    } else {
      writer.add(name, DType::F32, tensor.shape, tensor.values);
    }
  }
  writer.write(apart.path() + "/model.safetensors");
  write_file(apart.path() + "/config.json", contents(kFamilies + "qwen3_5_moe/config.json"));
  const OpenModel other = open_checkpoint_as(apart.path(), "32-true");
  EXPECT_THAT(other.bindings.unexpected, IsEmpty());
  Setting two, three;
  two.world = 2;
  three.world = 3;
  two.transport = three.transport = Transport::Mapped;
  EXPECT_EQ(units_of(checkpoint.model, two), units_of(other, three));
}

}  // namespace
}  // namespace initrt::testing
