// Every model family in GGUF files as llama.cpp's converter makes them (make_family_gguf.py),
// opened by their path alone, against the same model in Hugging Face's files and transformers'
// logits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <ostream>
#include <tuple>

#include "tests/golden/family_checkpoint.h"
#include "tests/golden/family_gguf.h"
#include "tests/golden/family_logits.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

const std::string kFamilies = source_path("tests/golden/families/");
constexpr float kMaxRounding = 1e-6f;

struct Case {
  std::string family, recipe;

  [[nodiscard]] std::string name() const {
    return recipe == "gguf.json" ? family : family + "_fused";
  }
  friend std::ostream& operator<<(std::ostream& out, const Case& of) { return out << of.name(); }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& entry : std::filesystem::directory_iterator(kFamilies)) {
    for (const char* recipe : {"gguf.json", "gguf_fused.json"}) {
      if (std::filesystem::exists(entry.path() / recipe)) {
        all.push_back({entry.path().filename(), recipe});
      }
    }
  }
  std::sort(all.begin(), all.end(), [](const Case& a, const Case& b) {
    return std::tie(a.family, a.recipe) < std::tie(b.family, b.recipe);
  });
  return all;
}

// Float32 values no further apart than `most`; 0: the same bits.
bool is_near(const std::vector<std::byte>& a, const std::vector<std::byte>& b, float most) {
  if (a.size() != b.size() || most == 0) return a == b;
  std::vector<float> left(a.size() / sizeof(float)), right(left.size());
  std::memcpy(left.data(), a.data(), a.size());
  std::memcpy(right.data(), b.data(), b.size());
  return std::equal(left.begin(), left.end(), right.begin(),
                    [&](float x, float y) { return std::fabs(x - y) <= most; });
}

class GgufFamilies : public ::testing::TestWithParam<Case> {
 protected:
  GgufFamilies() { write_family_gguf(family_, GetParam().recipe, file_); }

  void SetUp() override { model_ = open_checkpoint_as(file_, "32-true"); }

  const std::string family_ = kFamilies + GetParam().family;
  const TemporaryDirectory directory_;
  const std::string file_ = directory_.path() + "/model.gguf";
  OpenModel model_;
};

TEST_P(GgufFamilies, UnitsAreThoseOfTheHuggingFaceCheckpoint) {
  EXPECT_THAT(model_.bindings.unexpected, ::testing::IsEmpty());
  EXPECT_THAT(model_.catalog.notes, ::testing::IsEmpty()) << "all that converters write is known";
  const TemporaryDirectory other;
  write_family_checkpoint(family_, other.path());
  const OpenModel original = open_checkpoint_as(other.path(), "32-true");
  const Units expected = units_of(original, Setting{});
  const Units alone = units_of(model_, Setting{});
  for (const std::uint32_t ranks : {2u, 3u}) {
    EXPECT_TRUE(units_of(model_, mapped_ranks(ranks)) == alone) << ranks;
  }
  // Falcon-7B's embeddings are tied, but its files have the head once more.
  const std::size_t more = GetParam().family == "falcon_7b" ? 1 : 0;
  ASSERT_EQ(alone.size(), expected.size() + more);
  // Gemma's norms are stored as 1 + w, decays of what keeps states as -exp(w), which rounds.
  const bool rounds = GetParam().family.starts_with("gemma") || original.graph.states > 0;
  const float most = rounds ? kMaxRounding : 0;
  for (std::size_t unit = more; unit < expected.size(); ++unit) {
    EXPECT_TRUE(is_near(alone[unit], expected[unit], most)) << model_.graph.units[unit].name;
  }
}

TEST_P(GgufFamilies, LogitsAreTheReferences) {
  const std::string own = family_ + "/gguf_logits.npy";
  expect_logits_of(std::filesystem::exists(own) ? own : family_ + "/logits.npy",
                   logits_on_one_rank(model_), model_.graph.vocabulary);
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufFamilies, ::testing::ValuesIn(cases()),
                         [](const auto& of) { return of.param.name(); });

}  // namespace
}  // namespace initrt::testing
