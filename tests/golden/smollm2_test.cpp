// SmolLM2 against the reference implementation: tests/golden/smollm2/, made by
// make_smollm2_reference.py.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "tests/integration/worlds.h"
#include "tests/support/npy.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

constexpr std::size_t kTokens = 64, kVocabulary = 49152, kReferenceIds = 512;

nlohmann::json golden(const std::string& name) {
  return nlohmann::json::parse(contents(source_path("tests/golden/smollm2/" + name)));
}

// How far other logits of a text are from the first, over all its tokens.
struct Distance {
  double mean_kl = 0;  // mean of KL(first || other), in nats
  double argmax_agreement = 0;
};

// log softmax in float64.
std::vector<double> log_probabilities(const std::vector<float>& logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  std::vector<double> all(logits.begin(), logits.end());
  for (double& value : all) value -= most + std::log(sum);
  return all;
}

// Of two files of float32 logits, [tokens, 49152], row by row: together they are 200 MB.
Distance distance(const std::string& first, const std::string& other, std::size_t tokens) {
  std::array<std::ifstream, 2> files;
  std::array<std::vector<float>, 2> rows;
  const auto row_bytes = static_cast<std::streamoff>(kVocabulary * sizeof(float));
  for (std::size_t i = 0; i < 2; ++i) {
    files[i].open(i == 0 ? first : other, std::ios::binary);
    files[i].seekg(-static_cast<std::streamoff>(tokens) * row_bytes, std::ios::end);
    rows[i].resize(kVocabulary);
  }
  Distance result;
  for (std::size_t token = 0; token < tokens; ++token) {
    for (std::size_t i = 0; i < 2; ++i) {
      files[i].read(reinterpret_cast<char*>(rows[i].data()), row_bytes);
      if (!files[i]) {
        ADD_FAILURE() << (i == 0 ? first : other) << ": no logits of token " << token;
        return {};
      }
    }
    const std::vector<double> p = log_probabilities(rows[0]), q = log_probabilities(rows[1]);
    for (std::size_t id = 0; id < kVocabulary; ++id) {
      result.mean_kl += std::exp(p[id]) * (p[id] - q[id]);
    }
    const auto most = [](const auto& row) {
      return std::max_element(row.begin(), row.end()) - row.begin();
    };
    result.argmax_agreement += most(p) == most(q) ? 1 : 0;
  }
  result.mean_kl /= static_cast<double>(tokens);
  result.argmax_agreement /= static_cast<double>(tokens);
  return result;
}

class SmolLM2Golden : public WithSmolLM2 {
 protected:
  // Where the logits of all tokens are written, [tokens, 49152].
  std::string score(const std::string& model, const std::string& precision,
                    const std::vector<int>& ids) {
    std::string tokens;
    for (const int id : ids) tokens += (tokens.empty() ? "" : ",") + std::to_string(id);
    const std::string path = directory_.file("logits_" + precision + ".npy");
    const Finished finished =
        run(alone({"score", "--set", "model=" + model, "--set", "precision=" + precision,
                   "--tokens", tokens, "--logits", path}));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return path;
  }

  // All logits of the reference's 64 tokens, [64, 49152].
  std::vector<float> logits(const std::string& model, const std::string& precision) {
    const auto ids = golden("tokens.json").at("ids").get<std::vector<int>>();
    return read_npy(score(model, precision, ids), kTokens * kVocabulary);
  }

  const TemporaryDirectory directory_;
};

TEST_F(SmolLM2Golden, LogitsAndArgMaxAreTheReferences) {
  const std::vector<float> mine = logits(smollm2(), "32-true");
  const std::vector<float> reference =
      read_npy(source_path("tests/golden/smollm2/logits.npy"), kTokens * kReferenceIds);
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

// 32-true stands for the reference's float32, which the test above says it is.
TEST_F(SmolLM2Golden, Bfloat16CostsNoMoreThanTheReferencesOwn) {
  const auto reference = golden("bfloat16.json");
  const auto ids = reference.at("ids").get<std::vector<int>>();
  const Distance mine =
      distance(score(smollm2(), "32-true", ids), score(smollm2(), "bf16-true", ids), ids.size());
  const auto kl = reference.at("mean_kl").get<double>();
  const auto agreement = reference.at("argmax_agreement").get<double>();
  std::printf(
      "mean KL %.3g, the reference's %.3g; arg-max the same at %.3f, the reference's %.3f\n",
      mine.mean_kl, kl, mine.argmax_agreement, agreement);
  EXPECT_GT(mine.mean_kl, 0);
  EXPECT_LE(mine.mean_kl, kl);
  EXPECT_GE(mine.argmax_agreement, agreement);
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
