// A conversion as a call: what it writes, and whom it tells.
#include "runtime/export/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "runtime/storage/local_files.h"
#include "runtime/values/verify.h"
#include "tests/sharding/errors.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ConvertOptions options_of(const SmallCheckpoint& checkpoint, const std::string& to) {
  ConvertOptions options;
  options.model.path = checkpoint.directory.path();
  options.to = to;
  return options;
}

TEST(Convert, WritesTheSameValuesAndTellsItsCallerNotThePerson) {
  const SmallCheckpoint checkpoint;
  const TemporaryDirectory out;
  ConvertOptions options = options_of(checkpoint, out.file("to"));
  std::vector<std::string> warnings;
  std::uint64_t last = 0, all = 0;
  options.notices.warning = [&](const std::string& text) { warnings.push_back(text); };
  options.on_file = [&](const std::string& file, std::uint64_t done, std::uint64_t all_bytes) {
    EXPECT_THAT(file, HasSubstr(".safetensors"));
    EXPECT_GT(done, last);
    last = done;
    all = all_bytes;
  };
  ::testing::internal::CaptureStderr();
  convert_to_safetensors(options);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), IsEmpty());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("no tokenizer.json")));
  EXPECT_EQ(last, all);
  LocalFiles files;
  EXPECT_EQ(compare_checkpoints(files, {checkpoint.directory.path(), ""}, {options.to, ""}, false)
                .difference,
            "");
}

TEST(Convert, OverwritesNothing) {
  const SmallCheckpoint checkpoint;
  const TemporaryDirectory out;
  const ConvertOptions options = options_of(checkpoint, out.path());
  convert_to_safetensors(options);
  EXPECT_THAT(error_of([&] { convert_to_safetensors(options); }), HasSubstr("exists already"));
}

TEST(Convert, RefusesWhatFloat16MakesInfinite) {
  SmallCheckpoint checkpoint;
  SmallTensor& tensor = checkpoint.tensors.at(1);
  tensor.values.at(3) = std::numeric_limits<float>::infinity();  // is so already
  const TemporaryDirectory from, out;
  ConvertOptions options = options_of(checkpoint, out.file("infinite"));
  options.model.path = from.path();
  options.precision = "16-true";
  write_safetensors(from.path(), checkpoint.model, checkpoint.tensors, DType::F32, 2);
  convert_to_safetensors(options);

  tensor.values.at(7) = -65520;  // the least that rounds to infinity
  options.to = out.file("beyond");
  write_safetensors(from.path(), checkpoint.model, checkpoint.tensors, DType::F32, 2);
  EXPECT_THAT(error_of([&] { convert_to_safetensors(options); }),
              HasSubstr(tensor.name + ": element 7 is -65520"));
  EXPECT_FALSE(std::filesystem::exists(out.file("beyond/config.json")));
  options.precision = "bf16-true";
  convert_to_safetensors(options);
}

}  // namespace
}  // namespace initrt::testing
