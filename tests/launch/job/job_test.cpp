#include "launch/job/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/storage/local_files.h"
#include "sharding/error.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string& directory() {
  static const testing::TemporaryDirectory directory;
  return directory.path();
}

Job read(const std::string& text, const std::vector<std::string>& settings = {}) {
  const std::string path = directory() + "/job.json";
  std::ofstream(path) << text;
  LocalFiles files;
  return read_job(files, path, settings);
}

std::string error_of(const std::string& text, const std::vector<std::string>& settings = {}) {
  try {
    (void)read(text, settings);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Job, ReadsEveryKeyOfTheReadyJob) {
  LocalFiles files;
  const std::string path = testing::source_path("configs/smollm2.json");
  const Job job = read_job(files, path, {});
  EXPECT_EQ(job.model.path,
            testing::source_path("configs/../models/SmolLM2-135M-Instruct.Q4_1.gguf"));
  EXPECT_EQ(job.model.precision, "bf16-true");
  EXPECT_EQ(job.shape.prefetch, 1u);
  EXPECT_EQ(job.shape.staging, 64u << 20);
  EXPECT_EQ(job.generate.max_new_tokens, 50u);
  EXPECT_EQ(job.generate.temperature, 0.8);
  EXPECT_EQ(job.generate.top_k, 200u);
  EXPECT_EQ(job.generate.seed, 1234u);
}

TEST(Job, NamesDevicesAndHowGpusAreShared) {
  const Job job = read(
      R"({"model": "m", "device": "cuda", "placement": {"share_gpu": true},
          "sharding": {"communicator": "nccl"}})");
  EXPECT_EQ(job.machine.device, "cuda");
  EXPECT_TRUE(job.machine.share_gpu);
  EXPECT_EQ(job.machine.communicator, "nccl");
  EXPECT_FALSE(read(R"({"model": "m"})").machine.share_gpu);
}

TEST(Job, RelativePathsInTheFileAreRelativeToItAndThoseOfSettingsAreNot) {
  const Job job =
      read(R"({"model": "m", "tokenizer": "/abs/t", "generate": {"prompts": "p.jsonl"}})");
  EXPECT_EQ(job.model.path, directory() + "/m");
  EXPECT_EQ(job.model.tokenizer, "/abs/t");
  EXPECT_EQ(job.generate.prompts.path, directory() + "/p.jsonl");
  EXPECT_EQ(read("{}", {"model=m"}).model.path, "m");
}

TEST(Job, MayBeAPipeAndItsPathsAreThenAsOfSettings) {
  testing::MemoryFiles files;
  files.streams = {{"-", R"({"model": "m", "generate": {"prompts": "-"}})"},
                   {"/dev/fd/63", R"({"model": "n"})"}};
  const Job job = read_job(files, "-", {});
  EXPECT_EQ(job.model.path, "m");
  EXPECT_EQ(job.generate.prompts.path, "-");
  EXPECT_EQ(read_job(files, "/dev/fd/63", {}).model.path, "n");
  EXPECT_EQ(read(R"({"model": "m", "generate": {"prompts": "-"}})").generate.prompts.path, "-");
}

TEST(Job, APromptMayBeEmpty) {
  EXPECT_EQ(read(R"({"model": "m"})").generate.prompt, std::nullopt);
  EXPECT_EQ(read(R"({"model": "m", "generate": {"prompt": ""}})").generate.prompt, "");
  EXPECT_EQ(read(R"({"model": "m"})", {"generate.prompt="}).generate.prompt, "");
}

TEST(Job, NumbersThatAreNotFiniteAreNamed) {
  EXPECT_THAT(error_of(R"({"model": "m", "generate": {"temperature": Infinity}})"),
              HasSubstr("generate.temperature is Infinity, expected a number"));
  EXPECT_THAT(error_of(R"({"model": "m", "generate": {"seed": NaN}})"),
              HasSubstr("generate.seed is NaN, expected a whole number"));
}

TEST(Job, SettingsOverrideTheFileAndMayBePlainTextOrJson) {
  const std::string text = R"({"model": "m", "generate": {"seed": 1, "prompt": "a"}})";
  const Job job = read(text, {"generate.seed=7", "generate.prompt=Hello = 5", "load.strict=true",
                              "load.staging=1MiB", "generate.temperature=0"});
  EXPECT_EQ(job.generate.seed, 7u);
  EXPECT_EQ(job.generate.prompt, "Hello = 5");
  EXPECT_TRUE(job.model.strict);
  EXPECT_EQ(job.shape.staging, 1u << 20);
  EXPECT_EQ(job.generate.temperature, 0.0);
  EXPECT_EQ(read(text, {R"(generate.prompt="12")"}).generate.prompt, "12");
  EXPECT_EQ(read(text, {"generate.prompt=12"}).generate.prompt, "12");
  EXPECT_THAT(read(text, {R"(generate.prompts=["a","b"])"}).generate.prompts.texts,
              ::testing::ElementsAre("a", "b"));
}

TEST(Job, QuantizeIsAMethodOrAnObjectOfKeys) {
  const std::string start = R"({"model": "m", "quantize": )";
  EXPECT_EQ(read(start + R"("nf4"})").model.quantize.method, "nf4");
  const Job job = read(start + R"({"method": "llm.int8", "skip": "down_proj", "threshold": 5}})");
  EXPECT_EQ(job.model.quantize.method, "llm.int8");
  EXPECT_EQ(job.model.quantize.skip, std::vector<std::string>{"down_proj"});
  EXPECT_EQ(job.model.quantize.threshold, 5.0);
  const std::string plain = R"({"model": "m"})";
  EXPECT_EQ(read(plain, {"quantize=fp4"}).model.quantize.method, "fp4");
  EXPECT_EQ(read(plain, {"quantize=nf4-dq"}).model.quantize.method, "nf4-dq");
  EXPECT_EQ(read(plain, {"quantize.method=stored"}).model.quantize.method, "stored");
  EXPECT_EQ(
      read(plain, {R"(quantize={"method": "nf4", "skip": ["a", "b"]})"}).model.quantize.skip.size(),
      2u);
  EXPECT_THAT(error_of(start + R"("nf5"})"), HasSubstr("quantize.method is \"nf5\", expected one"));
  EXPECT_THAT(error_of(start + R"({"metod": "nf4"}})"), HasSubstr("quantize.method"));
}

TEST(Job, StopIsAStringOrAListOfThem) {
  const auto stop = [](const std::string& json, const std::vector<std::string>& settings = {}) {
    return read(R"({"model": "m", "generate": {"stop": )" + json + "}}", settings).generate.stop;
  };
  EXPECT_THAT(stop(R"("\n\n")"), ::testing::ElementsAre("\n\n"));
  EXPECT_THAT(stop(R"(["a", "b"])"), ::testing::ElementsAre("a", "b"));
  EXPECT_THAT(stop(R"("a")", {"generate.stop=[]"}), ::testing::IsEmpty());
  EXPECT_THAT(stop("[]", {R"(generate.stop=["\n","12"])"}), ::testing::ElementsAre("\n", "12"));
  for (const char* text : {"END", "12", "{}", "x[1]"}) {
    EXPECT_THAT(stop("[]", {std::string("generate.stop=") + text}), ::testing::ElementsAre(text));
  }
}

TEST(Job, AnUnknownKeyIsNamedWithTheNearestOne) {
  EXPECT_THAT(error_of(R"({"model": "m", "generate": {"max_new_token": 3}})"),
              AllOf(HasSubstr("unknown key \"generate.max_new_token\""),
                    HasSubstr("did you mean \"generate.max_new_tokens\"?"), HasSubstr("job.json")));
  EXPECT_THAT(error_of(R"({"model": "m", "prefetch": 3})"),
              HasSubstr("did you mean \"sharding.prefetch\"?"));
  EXPECT_THAT(error_of(R"({"model": "m", "zzzzqqq": 3})"), Not(HasSubstr("did you mean")));
  EXPECT_THAT(error_of(R"({"model": "m"})", {"generate.sed=1"}),
              HasSubstr("did you mean \"generate.seed\"?"));
}

TEST(Job, AnIllTypedValueIsNamedWithWhatWasExpected) {
  const auto expect = [](const std::string& json, const std::string& part) {
    const std::string error = error_of(json);
    EXPECT_THAT(error, HasSubstr(part)) << json;
    EXPECT_THAT(error, Not(HasSubstr("\n")));
  };
  expect(R"({"model": 3})", "model is 3, expected a string");
  expect(R"({"model": "m", "precision": "fp8"})",
         R"(precision is "fp8", expected one of "32-true", "bf16-true", "16-true")");
  expect(R"({"model": "m", "sharding": 3})", "\"sharding\" is not an object");
  expect(R"({"model": "m", "sharding": {"prefetch": -1}})",
         "sharding.prefetch is -1, expected a whole number from 0 to 64");
  expect(R"({"model": "m", "sharding": {"prefetch": 1.5}})", "a whole number");
  expect(R"({"model": "m", "load": {"staging": "64 parsecs"}})", "expected bytes");
  expect(R"({"model": "m", "load": {"staging": 100}})", "at least 65536 bytes");
  expect(R"({"model": "m", "load": {"strict": 1}})", "expected true or false");
  expect(R"({"model": "m", "generate": {"top_p": 0}})", "a number above 0, at most 1");
  expect(R"({"model": "m", "generate": {"temperature": -0.1}})", "a number of at least 0");
  expect(R"({"model": "m", "generate": {"temperature": 1e300}})", "at most 1000");
  expect(R"({"model": "m", "generate": {"prompts": []}})", "a list of strings");
  expect(R"({"model": "m", "generate": {"prompts": ["a", 3]}})", "a list of strings");
  expect(R"({"model": "m", "generate": {"max_new_tokens": 0}})", "a whole number from 1");
  expect(R"({"model": "m", "generate": {"min_p": 1.1}})", "a number of at least 0, at most 1");
  expect(R"({"model": "m", "generate": {"repetition_penalty": 0}})", "a number above 0");
  expect(R"({"model": "m", "generate": {"logprobs": 101}})", "a whole number from 0 to 100");
  for (const char* stop : {"3", "\"\"", "[\"a\", \"\"]", "[3]", "{}", "null"}) {
    expect(R"({"model": "m", "generate": {"stop": )" + std::string(stop) + "}}",
           "expected a string or a list of strings, none empty");
  }
}

TEST(Job, TakesConversations) {
  const std::string hi =
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])";
  const auto expected = nlohmann::ordered_json::parse(hi);
  EXPECT_EQ(read(R"({"model": "m", "generate": {"messages": )" + hi + "}}").generate.messages,
            expected);
  const Job job = read(R"({"model": "m"})", {"generate.messages=" + hi, "generate.chat=true",
                                             "generate.system=Be brief"});
  EXPECT_EQ(job.generate.messages, expected);
  EXPECT_TRUE(job.generate.chat);
  EXPECT_EQ(job.generate.system, "Be brief");
  EXPECT_THAT(error_of(R"({"model": "m", "generate": {"messages": [{"role": "tool"}]}})"),
              HasSubstr("job.json: generate.messages[0] has no \"content\""));
  EXPECT_THAT(error_of(R"({"model": "m"})", {"generate.messages=[{"}), HasSubstr("no JSON list"));
}

TEST(Job, TakesToolsAndWhatElseAChatTemplateLooksFor) {
  const Job job = read(
      R"({"model": "m", "generate": {"tools": [{"z": 1, "a": 2}], "date": "2025-01-31",
          "chat_template": "own.jinja", "chat_template_kwargs": {"enable_thinking": true}}})",
      {R"(generate.chat_template_kwargs={"enable_thinking": false, "x": [1]})"});
  EXPECT_EQ(job.generate.tools.dump(), R"([{"z":1,"a":2}])");
  EXPECT_EQ(job.chat_template.arguments.dump(), R"({"enable_thinking":false,"x":[1]})");
  EXPECT_THAT(job.chat_template.name, ::testing::EndsWith("own.jinja"));
  EXPECT_EQ(job.chat_template.date, "2025-01-31");
  EXPECT_THAT(error_of(R"({"model": "m", "generate": {"tools": {"a": 1}}})"),
              HasSubstr("job.json: generate.tools is not a list of objects"));
  EXPECT_THAT(error_of(R"({"model": "m", "generate": {"chat_template_kwargs": 3}})"),
              HasSubstr("expected an object"));
  EXPECT_THAT(error_of(R"({"model": "m"})", {"generate.chat_template_kwargs={x"}),
              HasSubstr("no JSON object"));
}

TEST(Job, WhatIsNoJobIsAnError) {
  EXPECT_THAT(error_of("{}"), HasSubstr("no model"));
  EXPECT_THAT(error_of("[1]"), HasSubstr("job.json"));
  EXPECT_THAT(error_of("{\"model\": "), HasSubstr("job.json"));
  EXPECT_THAT(error_of(R"({"model": "a", "model": "b"})"), HasSubstr("model"));
  EXPECT_THAT(error_of(R"({"model": "m"})", {"generate.seed"}), HasSubstr("key=value"));
  EXPECT_THAT(error_of(R"({"model": "m"})", {"generate=3"}), HasSubstr("group"));
  for (const char* list : {"generate.prompts=[\"a\"", "generate.stop=[\"a\""}) {
    EXPECT_THAT(error_of(R"({"model": "m"})", {list}), HasSubstr("no JSON list"));
  }
}

TEST(Job, BytesAreReadWithUnits) {
  EXPECT_EQ(parse_bytes("0", "x"), 0u);
  EXPECT_EQ(parse_bytes("4096", "x"), 4096u);
  EXPECT_EQ(parse_bytes("64MiB", "x"), 64u << 20);
  EXPECT_EQ(parse_bytes("64M", "x"), 64u << 20);
  EXPECT_EQ(parse_bytes("1.5GB", "x"), 1'500'000'000u);
  EXPECT_EQ(parse_bytes("80G", "x"), 80ull << 30);
  for (const char* bad : {"", "x", "-1", "1 GB", "1gb", "nan", "inf", "1e300", "GiB", "9TiBs"}) {
    EXPECT_THROW((void)parse_bytes(bad, "x"), Error) << bad;
  }
}

TEST(JobSchema, IsTheCommittedOne) {
  std::ifstream file(testing::source_path("configs/job.schema.json"));
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), job_schema().dump(2) + "\n")
      << "renew it with: initrt schema > configs/job.schema.json";
}

TEST(JobSchema, HasEveryKeyWithADescription) {
  const auto schema = job_schema();
  for (const JobKey& key : job_keys()) {
    std::string pointer = "/properties/";
    const std::string group(key.path.substr(0, key.path.find('.')));
    const bool has_short = short_key(group) != nullptr;
    for (const char c : key.path) {
      pointer += c != '.' ? std::string(1, c) : has_short ? "/anyOf/1/properties/" : "/properties/";
    }
    const auto& entry = schema.at(nlohmann::ordered_json::json_pointer(pointer));
    EXPECT_FALSE(entry.at("description").get<std::string>().empty()) << key.path;
  }
}

}  // namespace
}  // namespace initrt
