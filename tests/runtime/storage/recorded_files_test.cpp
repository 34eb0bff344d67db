#include "runtime/storage/recorded_files.h"

#include <gtest/gtest.h>

#include "sharding/checkpoint/catalog.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::MemoryFiles;

MemoryFiles small_model() {
  MemoryFiles files;
  files.content["d/model.safetensors"] = testing::safetensors_file(
      R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 8);
  files.content["d/config.json"] = R"({"model_type": "llama"})";
  return files;
}

/// The log of opening "d" in `files`, whether that works or not.
std::vector<std::byte> log_of_opening(MemoryFiles files) {
  RecordingFiles recording(files);
  try {
    (void)open_checkpoint(recording, "d");
  } catch (const Error&) {
  }
  return recording.log();
}

TEST(RecordedFiles, AReplayGivesWhatTheRecordingGave) {
  MemoryFiles files = small_model();
  RecordingFiles recording(files);
  const Catalog recorded = open_checkpoint(recording, "d");
  ReplayFiles replay(recording.log());
  const Catalog replayed = open_checkpoint(replay, "d");
  EXPECT_EQ(replayed.config, recorded.config);
  ASSERT_EQ(replayed.tensors.size(), recorded.tensors.size());
  EXPECT_EQ(replayed.tensors[0].name, recorded.tensors[0].name);
  EXPECT_EQ(replayed.tensors[0].parts[0].offset, recorded.tensors[0].parts[0].offset);
  EXPECT_EQ(replayed.files[0].bytes, recorded.files[0].bytes);
}

TEST(RecordedFiles, AStreamIsReadByTheRecordingAlone) {
  MemoryFiles files;
  files.streams["-"] = "once";
  RecordingFiles recording(files);
  EXPECT_EQ(recording.read_input("-"), "once");
  EXPECT_EQ(error_of([&] { (void)recording.read_input("-"); }), "-: no such stream");
  ReplayFiles replay(recording.log());
  EXPECT_EQ(replay.read_input("-"), "once");
  EXPECT_EQ(error_of([&] { (void)replay.read_input("-"); }), "-: no such stream");
}

TEST(RecordedFiles, EachKindOfCallAndResultIsReplayed) {
  MemoryFiles files = small_model();
  files.content["d/empty"] = "";
  RecordingFiles recording(files);
  int asked = 0;  // by the rank that reads alone
  const auto calls = [&](Files& from) {
    EXPECT_EQ(from.stat("d")->kind, FileInfo::Kind::Directory);
    EXPECT_EQ(from.stat("d/config.json")->kind, FileInfo::Kind::Regular);
    EXPECT_EQ(from.stat("d/config.json")->bytes, 23u);
    EXPECT_FALSE(from.stat("none"));
    EXPECT_EQ(from.list("d"),
              (std::vector<std::string>{"config.json", "empty", "model.safetensors"}));
    EXPECT_TRUE(from.list("none").empty());
    EXPECT_EQ(from.read("d/config.json", 1, 3).size(), 3u);
    EXPECT_EQ(from.read("d/config.json", 1, 1)[0], std::byte{'"'});
    EXPECT_TRUE(from.read("d/empty", 0, 0).empty());
    EXPECT_EQ(from.read_text("d/config.json"), R"({"model_type": "llama"})");
    EXPECT_EQ(from.ask("how many", [&] { return std::to_string(++asked); }), "1");
  };
  calls(recording);
  ReplayFiles replay(recording.log());
  calls(replay);
}

TEST(RecordedFiles, ErrorsAreReplayedWithTheirText) {
  MemoryFiles files = small_model();
  RecordingFiles recording(files);
  const std::string text = error_of([&] { (void)recording.read("d/config.json", 20, 10); });
  (void)recording.stat("d");
  ReplayFiles replay(recording.log());
  EXPECT_EQ(error_of([&] { (void)replay.read("d/config.json", 20, 10); }), text);
  EXPECT_TRUE(replay.stat("d")) << "the call after the failed one";
}

TEST(RecordedFiles, ACheckpointThatDoesNotOpenFailsAlikeOnEveryRank) {
  MemoryFiles files = small_model();
  files.content["d/model.safetensors"].pop_back();
  RecordingFiles recording(files);
  const std::string text = error_of([&] { (void)open_checkpoint(recording, "d"); });
  ReplayFiles replay(recording.log());
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(replay, "d"); }), text);
}

TEST(RecordedFiles, CallsThatWereNotRecordedAreErrors) {
  MemoryFiles files = small_model();
  RecordingFiles recording(files);
  (void)recording.stat("d");
  (void)recording.read("d/config.json", 0, 4);
  const auto replay_error = [&](const auto& call) {
    ReplayFiles replay(recording.log());
    return error_of([&] { call(replay); });
  };
  EXPECT_EQ(replay_error([](Files& replay) { (void)replay.stat("e"); }),
            "replayed headers: call 1 of e where call 1 of d was recorded");
  EXPECT_EQ(replay_error([](Files& replay) { (void)replay.list("d"); }),
            "replayed headers: call 2 of d where call 1 of d was recorded");
  EXPECT_EQ(replay_error([](Files& replay) {
              (void)replay.stat("d");
              (void)replay.read("d/config.json", 1, 4);
            }),
            "replayed headers: d/config.json: 4 bytes at byte 1 where 4 at byte 0 were recorded");
  EXPECT_NE(replay_error([](Files& replay) {
              (void)replay.stat("d");
              (void)replay.read("d/config.json", 0, 4);
              (void)replay.stat("d");
            }).find("the log ends at byte"),
            std::string::npos);
}

TEST(RecordedFiles, ALogCutOffAnywhereIsAnError) {
  const std::vector<std::byte> log = log_of_opening(small_model());
  for (std::size_t bytes = 0; bytes < log.size(); ++bytes) {
    ReplayFiles replay({log.begin(), log.begin() + static_cast<std::ptrdiff_t>(bytes)});
    EXPECT_NE(error_of([&] {
                (void)open_checkpoint(replay, "d");
              }).find("replayed headers: the log ends"),
              std::string::npos);
  }
}

TEST(RecordedFiles, ADamagedLogIsReadOrAnErrorAndNothingElse) {
  const std::vector<std::byte> log = log_of_opening(small_model());
  for (std::size_t at = 0; at < log.size(); ++at) {
    for (const int flip : {1, 2, 0x80, 0xff}) {
      std::vector<std::byte> damaged = log;
      damaged[at] ^= static_cast<std::byte>(flip);
      ReplayFiles replay(damaged);
      try {
        const Catalog catalog = open_checkpoint(replay, "d");
        EXPECT_LE(catalog.tensors.size(), 1u);
      } catch (const Error&) {
      }
    }
  }
}

TEST(RecordedFiles, ResultsThatNoCallHasAreErrors) {
  MemoryFiles files = small_model();
  RecordingFiles recording(files);
  (void)recording.stat("d");
  // The call, its path, the outcome, whether something is there, its kind, its size.
  const std::size_t outcome = 1 + 8 + 1, there = outcome + 1, kind = there + 8;
  for (const std::size_t at : {outcome, there, kind}) {
    std::vector<std::byte> damaged = recording.log();
    damaged[at] = std::byte{7};
    ReplayFiles replay(damaged);
    EXPECT_NE(error_of([&] { (void)replay.stat("d"); }).find("the log is damaged before byte"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace initrt
