// Two checkpoints compared, and one hashed, as calls.
#include "runtime/values/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/storage/local_files.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Verify, TheSameTensorsInOtherFilesAreEqual) {
  const SmallCheckpoint checkpoint;
  const TemporaryDirectory other;
  write_safetensors(other.path(), checkpoint.model, checkpoint.tensors, DType::F32, 1);
  LocalFiles files;
  const Comparison same =
      compare_checkpoints(files, {checkpoint.directory.path(), ""}, {other.path(), ""}, false);
  EXPECT_EQ(same.difference, "");
  EXPECT_EQ(same.tensors, checkpoint.tensors.size());
  EXPECT_GT(same.elements, 0u);
}

TEST(Verify, TheFirstDifferenceNamesBothCheckpointsAndTheTensor) {
  const SmallCheckpoint checkpoint;
  const TemporaryDirectory other;
  std::vector<SmallTensor> tensors = checkpoint.tensors;
  for (SmallTensor& tensor : tensors) {
    if (tensor.name == "model.norm.weight") tensor.values[3] += 1.0f;
  }
  write_safetensors(other.path(), checkpoint.model, tensors, DType::F32, 1);
  LocalFiles files;
  const std::string difference =
      compare_checkpoints(files, {checkpoint.directory.path(), ""}, {other.path(), ""}, false)
          .difference;
  EXPECT_THAT(difference, StartsWith(checkpoint.directory.path() + " and " + other.path() +
                                     " differ: tensor \"model.norm.weight\" differs at [3]"));
}

TEST(Verify, ATensorThatOneLacksIsADifference) {
  const SmallCheckpoint checkpoint;
  const TemporaryDirectory other;
  std::vector<SmallTensor> more = checkpoint.tensors;
  more.push_back({"own", 1, 1, true, 0, {1.0f}});
  write_safetensors(other.path(), checkpoint.model, more, DType::F32, 1);
  LocalFiles files;
  EXPECT_THAT(
      compare_checkpoints(files, {checkpoint.directory.path(), ""}, {other.path(), ""}, true)
          .difference,
      HasSubstr("only " + other.path() + " has tensor \"own\""));
}

TEST(Verify, AListingsHashIsOfItsTensorsAndEachIsToldInOrder) {
  const SmallCheckpoint checkpoint;
  LocalFiles files;
  const TensorListing listing = list_tensors(files, checkpoint.directory.path(), "", false);
  std::vector<std::string> told;
  const TotalDigest total = digest_all(listing, [&](const ListedTensor& listed, const Digest&) {
    told.push_back(listed.tensor.name);
  });
  ASSERT_EQ(told.size(), listing.tensors.size());
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(digest_all(listing).hash, total.hash);
  TensorListing less = listing;
  less.tensors.pop_back();
  EXPECT_NE(digest_all(less).hash, total.hash);
}

}  // namespace
}  // namespace initrt::testing
