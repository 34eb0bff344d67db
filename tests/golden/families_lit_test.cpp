// LitGPT's checkpoints of its kinds of models, against its own logits: tests/golden/lit_families/,
// made by make_family_lit.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden/family_checkpoint.h"
#include "tests/golden/family_lit.h"
#include "tests/golden/family_logits.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

const std::string kFamilies = source_path("tests/golden/lit_families/");

class LitFamilies : public ::testing::TestWithParam<std::string> {
 protected:
  LitFamilies() { write_family_lit(kFamilies + GetParam(), directory_.path()); }

  void SetUp() override { model_ = open_checkpoint_as(directory_.path(), "32-true"); }

  const TemporaryDirectory directory_;
  OpenModel model_;
};

TEST_P(LitFamilies, LogitsAreLitGpts) {
  EXPECT_THAT(model_.bindings.unexpected, ::testing::IsEmpty());
  expect_logits_of(kFamilies + GetParam() + "/logits.npy", logits_on_one_rank(model_),
                   model_.graph.vocabulary, kPrompt);
}

TEST_P(LitFamilies, UnitsDoNotDependOnTheRanks) {
  Setting three;
  three.world = 3;
  three.transport = Transport::Mapped;
  EXPECT_TRUE(units_of(model_, three) == units_of(model_, Setting{}));
}

INSTANTIATE_TEST_SUITE_P(Golden, LitFamilies, ::testing::ValuesIn(family_cases(kFamilies)),
                         [](const auto& of) { return of.param; });

}  // namespace
}  // namespace initrt::testing
