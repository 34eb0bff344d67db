// Checkpoints of every format as a person meets them: listed, verified, converted, chosen among.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/integration/worlds.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/support/small_llama.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string golden(const std::string& path) {
  return source_path("tests/golden/checkpoints/" + path);
}

nlohmann::json json_of(const std::vector<std::string>& arguments) {
  const Finished finished = run(alone(arguments));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return nlohmann::json::parse(finished.out);
}

// A checkpoint, and the directory with the same weights as safetensors.
struct Format {
  const char* path;
  const char* reference;
};

std::ostream& operator<<(std::ostream& out, const Format& format) { return out << format.path; }

class Formats : public ::testing::TestWithParam<Format> {};

std::string name_of_case(const ::testing::TestParamInfo<Format>& one) {
  std::string name = one.param.path;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    All, Formats,
    ::testing::Values(Format{"gqa/hf_sharded", "gqa/hf"}, Format{"gqa/bin", "gqa/hf"},
                      Format{"gqa/bin_sharded", "gqa/hf"}, Format{"gqa/bin_legacy", "gqa/hf"},
                      Format{"gqa/bin_views", "gqa/hf"}, Format{"gqa/lit_gpt_old", "gqa/hf"},
                      Format{"gqa/lit_gpt", "gqa/hf"}, Format{"gqa/meta", "gqa/hf"},
                      Format{"gqa/meta3", "gqa/hf"}, Format{"gqa/gguf", "gqa/hf"},
                      Format{"gqa/gguf_split", "gqa/hf"}, Format{"gqa/dcp", "gqa/hf"},
                      Format{"gqa/dcp_2d", "gqa/hf"}, Format{"mha/lit_llama", "mha/hf"},
                      Format{"gqa_tied/bin", "gqa_tied/hf"}),
    name_of_case);

TEST_P(Formats, AreListedInTheSameTable) {
  const auto listed = json_of({"inspect", golden(GetParam().path), "--json"});
  EXPECT_FALSE(listed.at("tensors").empty());
  for (const auto& tensor : listed.at("tensors")) {
    EXPECT_FALSE(tensor.at("parts").empty()) << tensor;
  }
  const Finished table = run(alone({"inspect", golden(GetParam().path)}));
  EXPECT_THAT(table.out, HasSubstr("name "));
}

TEST_P(Formats, VerifyAsEqualToTheSafetensors) {
  const std::string path = golden(GetParam().path), reference = golden(GetParam().reference);
  const Finished compared = run(alone({"verify", path, "--against", reference}));
  EXPECT_EQ(compared.exit_code, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr("equal: "));
  EXPECT_EQ(json_of({"verify", path, "--json"}).at("hash"),
            json_of({"verify", reference, "--json"}).at("hash"));
}

TEST_P(Formats, ConvertToTheSameModelInAnyPrecision) {
  const TemporaryDirectory directory;
  for (const char* precision : {"32-true", "bf16-true", "16-true"}) {
    const std::string from_it = directory.file(std::string("a") + precision);
    const std::string from_reference = directory.file(std::string("b") + precision);
    for (const auto& [from, to] : {std::pair{golden(GetParam().path), from_it},
                                   std::pair{golden(GetParam().reference), from_reference}}) {
      const Finished converted = run(alone({"convert", from, to, "--to", "safetensors",
                                            "--precision", precision, "--max-file-size", "20KB"}));
      ASSERT_EQ(converted.exit_code, 0) << converted.err;
    }
    EXPECT_GT(json_of({"inspect", from_it, "--json"}).at("files").size(), 1u);
    EXPECT_EQ(run(alone({"verify", from_it, "--against", from_reference, "--stored"})).exit_code,
              0);
    const bool exact = std::string(precision) == "32-true";
    if (exact) {
      EXPECT_EQ(run(alone({"verify", from_it, "--against", golden(GetParam().path)})).exit_code, 0);
    }
  }
}

// A directory with copies of checkpoints of several formats.
class Choice : public ::testing::Test {
 protected:
  void add(const std::string& path) {
    std::filesystem::copy(
        golden(path), directory_.path(),
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_existing);
  }

  const TemporaryDirectory directory_;
};

TEST_F(Choice, IsSaidInOneLineAndCanBeMade) {
  for (const char* path : {"gqa/hf", "gqa/bin", "gqa/lit_gpt", "gqa/gguf"}) add(path);
  const Finished first = run(alone({"inspect", directory_.path()}));
  EXPECT_THAT(first.own_lines(),
              ElementsAre(AllOf(
                  HasSubstr("several checkpoints"), HasSubstr("in safetensors"),
                  HasSubstr("not the one in pytorch, nor the one in lit, nor the one in gguf"))));
  for (const char* format : {"safetensors", "pytorch", "lit", "gguf"}) {
    const Finished chosen =
        run(alone({"inspect", directory_.path(), "--format", format, "--json"}));
    EXPECT_EQ(nlohmann::json::parse(chosen.out).at("format"), format);
    EXPECT_THAT(chosen.own_lines(), IsEmpty());
  }
  const Finished none = run(alone({"inspect", directory_.path(), "--format", "dcp"}));
  EXPECT_THAT(none.own_lines(), ElementsAre(HasSubstr("no checkpoint of the format dcp")));
}

TEST_F(Choice, BinIsBeforePthAndTheJobCanChoose) {
  for (const char* path : {"gqa/bin", "gqa/lit_gpt"}) add(path);
  const std::vector<std::string> score = {
      "score", "--tokens", "1,2,3", "--set", "model=" + directory_.path(), "--progress", "off"};
  const Finished first = run(on_ranks(2, score));
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.own_lines(),
              ElementsAre(HasSubstr("reading the one in pytorch, not the one in lit")));
  std::vector<std::string> chosen = score;
  chosen.insert(chosen.end(), {"--format", "lit"});
  const Finished second = run(on_ranks(2, chosen));
  EXPECT_THAT(second.own_lines(), IsEmpty());
  EXPECT_EQ(first.out, second.out) << "they hold the same weights";
}

class Verify : public ::testing::Test {
 protected:
  // A checkpoint of these tensors as float32, in a directory of this name.
  std::string write(const std::string& name, const std::vector<SmallTensor>& tensors) {
    const std::string path = directory_.file(name);
    std::filesystem::create_directory(path);
    write_safetensors(path, model_, tensors, DType::F32, 2);
    return path;
  }

  const SmallLlama model_;
  std::vector<SmallTensor> tensors_ = random_tensors(model_, 7);
  const TemporaryDirectory directory_;
};

TEST_F(Verify, NamesTheFirstDifferenceWithItsTensorAndIndex) {
  const std::string one = write("one", tensors_);
  SmallTensor& changed = tensors_[4];
  changed.values[3 * changed.columns + 5] += 1.0f;
  const std::string other = write("other", tensors_);
  const Finished finished = run(alone({"verify", one, "--against", other}));
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(finished.own_lines(),
              ElementsAre(AllOf(HasSubstr("differ: tensor \"" + changed.name + "\""),
                                HasSubstr("differs at [3, 5]: "))));
  EXPECT_NE(json_of({"verify", one, "--json"}).at("hash"),
            json_of({"verify", other, "--json"}).at("hash"));
}

TEST_F(Verify, CountsNansAndInfinities) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  SmallTensor& tensor = tensors_[2];
  tensor.values[0] = std::numeric_limits<float>::quiet_NaN();
  tensor.values[7] = kInfinity;
  tensor.values[8] = -kInfinity;
  const std::string one = write("one", tensors_);
  const auto verified = json_of({"verify", one, "--json"});
  EXPECT_EQ(verified.at("nan"), 1);
  EXPECT_EQ(verified.at("inf"), 2);
  for (const auto& listed : verified.at("tensors")) {
    EXPECT_EQ(listed.at("nan"), listed.at("name") == tensor.name ? 1 : 0);
  }
  // Another NaN is no difference.
  tensor.values[0] = std::bit_cast<float>(0xffc12345u);
  const std::string other = write("other", tensors_);
  EXPECT_EQ(run(alone({"verify", one, "--against", other})).exit_code, 0);
  EXPECT_EQ(json_of({"verify", other, "--json"}).at("hash"), verified.at("hash"));
}

TEST_F(Verify, AMissingTensorAndAnotherShapeAreDifferences) {
  const std::string one = write("one", tensors_);
  tensors_.pop_back();
  const std::string fewer = write("fewer", tensors_);
  for (const auto& [a, b] : {std::pair{one, fewer}, std::pair{fewer, one}}) {
    const Finished finished = run(alone({"verify", a, "--against", b, "--stored"}));
    EXPECT_THAT(finished.own_lines(), ElementsAre(HasSubstr("only " + one + " has tensor")));
  }
}

// The hash is of the values, not of what they are stored as.
TEST_F(Verify, TheSameValuesInAnotherDtypeHaveTheSameHash) {
  const auto hash_of = [&](const char* dtype, const std::string& values) {
    const std::string path = directory_.file(std::string(dtype) + ".safetensors");
    std::ofstream(path, std::ios::binary)
        << safetensors_file(
               fmt::format(R"({{"t": {{"dtype": "{}", "shape": [3], "data_offsets": [0, {}]}}}})",
                           dtype, values.size()),
               0)
        << values;
    return json_of({"verify", path, "--json"}).at("hash");
  };
  const auto bf16 = [](float value) {
    return raw(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  };
  const auto expected = hash_of("BF16", bf16(1.5f) + bf16(-0.0f) + bf16(-2.0f));
  EXPECT_EQ(hash_of("F32", raw(1.5f) + raw(-0.0f) + raw(-2.0f)), expected);
  EXPECT_EQ(hash_of("F64", raw(1.5) + raw(-0.0) + raw(-2.0)), expected);
  EXPECT_NE(hash_of("F32", raw(1.5f) + raw(0.0f) + raw(-2.0f)), expected);
  EXPECT_NE(hash_of("F64", raw(1.5) + raw(-0.0) + raw(-2.0 - 1e-15)), expected);
}

// What has no meaning as a number by itself is compared as it is.
TEST_F(Verify, PackedAndIntegerTensorsAreComparedByTheirBytes) {
  for (const auto& [dtype, where] :
       {std::pair{"F4", "[5, 6]"}, std::pair{"F6_E2M3", "[5, 4]"}, std::pair{"I32", "[5, 7]"}}) {
    const std::size_t bytes = 8 * 8 * (dtype[0] == 'I' ? 32 : dtype[1] - '0') / 8;
    std::string file = safetensors_file(
        fmt::format(R"({{"t": {{"dtype": "{}", "shape": [8, 8], "data_offsets": [0, {}]}}}})",
                    dtype, bytes),
        bytes);
    const std::string one = directory_.file("one.safetensors");
    const std::string other = directory_.file("other.safetensors");
    std::ofstream(one, std::ios::binary) << file;
    EXPECT_EQ(run(alone({"verify", one, "--against", one})).exit_code, 0);
    file[file.size() - bytes + bytes * 47 / 64] ^= 1;
    std::ofstream(other, std::ios::binary) << file;
    const Finished finished = run(alone({"verify", one, "--against", other}));
    EXPECT_THAT(finished.own_lines(),
                ElementsAre(HasSubstr("tensor \"t\" differs at " + std::string(where))));
    EXPECT_NE(json_of({"verify", one, "--json"}).at("hash"),
              json_of({"verify", other, "--json"}).at("hash"));
  }
}

TEST_F(Verify, WithoutAConfigTensorsAreTakenAsTheyAreStored) {
  const std::string one = write("one", tensors_);
  std::filesystem::remove(one + "/config.json");
  const auto verified = json_of({"verify", one, "--json"});
  EXPECT_EQ(verified.at("canonical"), false);
  EXPECT_EQ(verified.at("tensors").size(), tensors_.size());
}

}  // namespace
}  // namespace initrt::testing
