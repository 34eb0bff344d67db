#include "runtime/values/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/storage/local_files.h"
#include "runtime/storage/recorded_files.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_directory.h"

namespace initrt::testing {
namespace {

class Fingerprint : public ::testing::Test {
 protected:
  // Of these tensors, written into a directory of its own.
  [[nodiscard]] std::string of(const std::vector<SmallTensor>& tensors, std::uint32_t file_count,
                               DType dtype = DType::F32) const {
    const TemporaryDirectory directory;
    write_safetensors(directory.path(), model_, tensors, dtype, file_count);
    LocalFiles files;
    return fingerprint(files, open_checkpoint(files, directory.path()));
  }

  const SmallLlama model_;
  const std::vector<SmallTensor> tensors_ = random_tensors(model_, 1);
};

TEST_F(Fingerprint, IsTheSameOfACopyInAnyNumberOfFiles) {
  EXPECT_EQ(of(tensors_, 1), of(tensors_, 1));
  EXPECT_EQ(of(tensors_, 1), of(tensors_, 3));
}

TEST_F(Fingerprint, IsAnotherWhereAnyTensorWasTrainedFurther) {
  const std::string before = of(tensors_, 2);
  EXPECT_NE(of(random_tensors(model_, 2), 2), before);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    std::vector<SmallTensor> trained = tensors_;
    for (float& value : trained[i].values) value *= 1.001f;
    EXPECT_NE(of(trained, 2), before) << trained[i].name;
  }
}

TEST_F(Fingerprint, IsAnotherOfOtherDtypes) {
  EXPECT_NE(of(tensors_, 1, DType::BF16), of(tensors_, 1));
}

TEST_F(Fingerprint, IsFoundOutByTheRankThatReads) {
  const TemporaryDirectory directory;
  write_safetensors(directory.path(), model_, tensors_, DType::F32, 2);
  LocalFiles local;
  RecordingFiles recording(local);
  const std::string read = fingerprint(recording, open_checkpoint(recording, directory.path()));
  EXPECT_LT(recording.log().size(), 64u << 10) << "samples are not told to the others";
  ReplayFiles replay(recording.log());
  const Catalog catalog = open_checkpoint(replay, directory.path());
  std::filesystem::remove_all(directory.path());
  EXPECT_EQ(fingerprint(replay, catalog), read);
}

}  // namespace
}  // namespace initrt::testing
