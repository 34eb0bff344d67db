// What GPUs make of quantized weights, in every format: the CPU's tokens, and logits near the
// CPU's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/runtime/exec/answers.h"

namespace initrt::testing {
namespace {

struct Held {
  std::string quantize;
  DType blocks = DType::F32;  ///< of a GGUF file
};
void PrintTo(const Held& held, std::ostream* out) { *out << held.quantize; }

std::string name_of(const ::testing::TestParamInfo<Held>& of) {
  std::string text =
      of.param.blocks == DType::F32 ? of.param.quantize : std::string(name(of.param.blocks));
  std::erase_if(text, [](char c) { return c == '.' || c == '-'; });
  return text;
}

// Rows of 76 columns in half of the matrices, or of one block.
SmallLlama llama_of(const Held& held) {
  SmallLlama model;
  model.intermediate = 76;
  if (held.blocks == DType::F32) return model;
  const std::uint32_t block = info(held.blocks).block_elements;
  model.hidden = model.intermediate = block;
  model.heads = 4;
  model.head_size = block / model.heads;
  return model;
}

class QuantizedAnswers : public ::testing::TestWithParam<Held> {
 protected:
  [[nodiscard]] OpenModel open(const std::string& precision) const {
    std::string path = checkpoint_.directory.path();
    if (GetParam().blocks != DType::F32) {
      path += "/model.gguf";
      write_gguf(path, checkpoint_.model, checkpoint_.tensors, GetParam().blocks);
    }
    return open_checkpoint_as(path, precision, GetParam().quantize);
  }

  const SmallCheckpoint checkpoint_{llama_of(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(Formats, QuantizedAnswers,
                         ::testing::Values(Held{"llm.int8"}, Held{"nf4"}, Held{"fp4"},
                                           Held{"nf4-dq"}, Held{"fp4-dq"},
                                           Held{"stored", DType::Q4_0}, Held{"stored", DType::Q4_1},
                                           Held{"stored", DType::Q8_0}, Held{"stored", DType::Q4_K},
                                           Held{"stored", DType::Q5_K},
                                           Held{"stored", DType::Q6_K}),
                         name_of);

TEST_P(QuantizedAnswers, AreTheCpus) {
  const OpenModel model = open("32-true");
  const std::vector<Prompt> prompts = eight_prompts();
  const Answers expected = answers_of(model, prompts, {.batch = 8, .on_cpu = true});
  ASSERT_EQ(expected.size(), prompts.size());
  const std::vector<Way> ways = {{1, Transport::Self, 8, 64}, {2, Transport::Mapped, 3, 5}};
  for (const Way& way : ways) EXPECT_EQ(answers_of(model, prompts, way), expected) << way;
}

TEST_P(QuantizedAnswers, AreOfLogitsNearTheCpus) {
  const std::vector<TokenId> tokens = {3, 508, 0, 77, 77, 250, 12, 311, 9, 508, 1, 42, 230, 229};
  for (const auto& [precision, most] :
       {std::pair{"32-true", 1e-3}, {"bf16-true", 0.15}, {"16-true", 0.02}}) {
    const OpenModel model = open(precision);
    std::vector<std::vector<float>> logits;
    for (const bool on_cpu : {true, false}) {
      Setting setting;
      setting.on_cpu = on_cpu;
      const auto failures = run_world(model, setting, [&](std::uint32_t, RankModel& rank) {
        logits.push_back(score_all(rank.engine(), tokens, 5));
      });
      ASSERT_EQ(failures.front(), "");
    }
    ASSERT_EQ(logits[0].size(), logits[1].size());
    double largest = 0;
    for (std::size_t i = 0; i < logits[0].size(); ++i) {
      largest = std::max(largest, std::abs(double{logits[0][i]} - double{logits[1][i]}));
    }
    EXPECT_LT(largest, most) << precision;
    RecordProperty(precision, std::to_string(largest));
  }
}

}  // namespace
}  // namespace initrt::testing
