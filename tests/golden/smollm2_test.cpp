// SmolLM2 against the reference implementation: tests/golden/smollm2/, made by
// make_smollm2_reference.py.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "tests/integration/worlds.h"
#include "tests/support/npy.h"

namespace initrt::testing {
namespace {

constexpr std::size_t kTokens = 64, kVocabulary = 49152, kReferenceIds = 512;

nlohmann::json golden(const std::string& name) {
  return nlohmann::json::parse(
      contents(std::string(INITRT_SOURCE_DIR "/tests/golden/smollm2/") + name));
}

class SmolLM2Golden : public WithSmolLM2 {
 protected:
  // All logits of the reference's 64 tokens, [64, 49152].
  std::vector<float> logits(const std::string& model, const std::string& precision) {
    std::string tokens;
    for (const int id : golden("tokens.json").at("ids").get<std::vector<int>>()) {
      tokens += (tokens.empty() ? "" : ",") + std::to_string(id);
    }
    const std::string path = directory_.file("logits.npy");
    const Finished finished =
        run(alone({"score", "--set", "model=" + model, "--set", "precision=" + precision,
                   "--tokens", tokens, "--logits", path}));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return read_npy(path, kTokens * kVocabulary);
  }

  const TemporaryDirectory directory_;
};

TEST_F(SmolLM2Golden, LogitsAndArgMaxAreTheReferences) {
  const std::vector<float> mine = logits(smollm2(), "32-true");
  const std::vector<float> reference =
      read_npy(INITRT_SOURCE_DIR "/tests/golden/smollm2/logits.npy", kTokens * kReferenceIds);
  const auto ids = golden("vocabulary_ids.json").get<std::vector<std::size_t>>();
  const auto arg_max = golden("argmax.json").get<std::vector<std::size_t>>();
  ASSERT_EQ(ids.size(), kReferenceIds);
  ASSERT_EQ(arg_max.size(), kTokens);
  float largest = 0;
  for (std::size_t token = 0; token < kTokens; ++token) {
    const std::span<const float> row(mine.data() + token * kVocabulary, kVocabulary);
    for (std::size_t i = 0; i < kReferenceIds; ++i) {
      const float difference = std::fabs(row[ids[i]] - reference[token * kReferenceIds + i]);
      ASSERT_FALSE(std::isnan(difference));
      largest = std::max(largest, difference);
    }
    const auto most = std::max_element(row.begin(), row.end()) - row.begin();
    EXPECT_EQ(static_cast<std::size_t>(most), arg_max[token]) << "at token " << token;
  }
  std::printf("largest difference %.3g\n", static_cast<double>(largest));
  EXPECT_LT(largest, 1e-3);
}

TEST_F(SmolLM2Golden, TheConvertedCheckpointHasTheSameBits) {
  const std::string converted = directory_.file("converted");
  const Finished finished = run(alone({"convert", "--to", "safetensors", smollm2(), converted}));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_TRUE(logits(smollm2(), "32-true") == logits(converted, "32-true"));
  EXPECT_TRUE(logits(smollm2(), "bf16-true") == logits(converted, "bf16-true"));
}

TEST_F(SmolLM2Golden, GreedyTokensAreTheReferences) {
  const auto greedy = golden("greedy.json");
  const Finished finished =
      run(alone({"--set", "model=" + smollm2(), "--set", "precision=32-true", "--set",
                 "generate.prompts=[\"" + greedy.at("prompt").get<std::string>() + "\"]"}));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const auto answer = nlohmann::json::parse(finished.out);
  EXPECT_EQ(answer.at("tokens"), greedy.at("ids"));
  EXPECT_EQ(answer.at("prompt").get<std::string>() + answer.at("completion").get<std::string>(),
            greedy.at("text").get<std::string>());
}

}  // namespace
}  // namespace initrt::testing
