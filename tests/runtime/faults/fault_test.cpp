// What a test may ask for, and that it happens there and nowhere else.
#include "runtime/faults/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "runtime/comm/self.h"
#include "runtime/faults/faulty_communicator.h"
#include "runtime/faults/faulty_files.h"
#include "sharding/error.h"
#include "tests/sharding/errors.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

FaultInjector injector_of(const char* text) {
  return FaultInjector(parse_fault(text), [] { return true; });
}

TEST(Fault, NamesWhatHappensToWhichRankWhere) {
  const Fault fault = parse_fault("eio@3:load:12:5");
  EXPECT_EQ(fault.kind, FaultKind::Eio);
  EXPECT_EQ(fault.rank, 3u);
  EXPECT_EQ(fault.stage, FaultStage::Load);
  EXPECT_EQ(fault.unit, 12u);
  EXPECT_EQ(fault.time, 5u);
  EXPECT_EQ(parse_fault("killed@0:start:0").time, 1u);
}

TEST(Fault, AnythingElseIsAnError) {
  for (const char* text :
       {"", "@", "killed", "killed@", "killed@1", "killed@1:load",
        "killed@1:load:", "killed@:load:1", "killed@-1:load:1", "killed@1:sleep:1",
        "killed@1:load:1x", "killed@1:load:99999999999", "killed@1:load:1:1:1", "killed@1:load:1:0",
        "killed@1:load:1:", " killed@1:load:1", "hanged@1:load:1", "1:load:1"}) {
    EXPECT_THAT(error_of([&] { (void)parse_fault(text); }), HasSubstr("expected WHAT@RANK"))
        << text;
  }
}

TEST(Fault, IsOneThatItsStageCanHave) {
  for (const char* text : {"eio@0:decode:1", "short@0:plan:0", "truncated@0:writing:1",
                           "full@0:load:1", "rewritten@0:start:0"}) {
    EXPECT_THAT(error_of([&] { (void)parse_fault(text); }), HasSubstr("there")) << text;
  }
}

TEST(Fault, ElsewhereNothingHappens) {
  FaultInjector fault = injector_of("killed@0:load:5:3");
  fault.arrive(FaultStage::Decode, 5);
  fault.arrive(FaultStage::Load, 4);
  fault.arrive(FaultStage::Load, 5);
  fault.arrive(FaultStage::Load, 5);
  EXPECT_EQ(fault.on_file("/nowhere", 0), ReadFault::None);
  EXPECT_EXIT(fault.arrive(FaultStage::Load, 5), ::testing::KilledBySignal(SIGKILL),
              "test fault: rank 0, process ");
}

TEST(Fault, WithoutTheVariableThereIsNone) {
  arm_fault(0, 1, {});
  EXPECT_EQ(armed_fault(), nullptr);
}

TEST(Fault, OfAnotherRankIsNoneOfThisOnesAndOfNoRankAnError) {
  ASSERT_EQ(setenv("INITRT_TEST_FAULT", "killed@1:load:1", 1), 0);
  arm_fault(0, 2, {});
  EXPECT_EQ(armed_fault(), nullptr);
  EXPECT_EQ(error_of([] { arm_fault(0, 1, {}); }), "INITRT_TEST_FAULT names rank 1 of 1");
  unsetenv("INITRT_TEST_FAULT");
}

TEST(Fault, OfATransferHappensAtTheOneThatIsNamed) {
  FaultInjector fault = injector_of("killed@0:exchange:1");
  SelfCommunicator self;
  FaultyCommunicator comm(self, fault);
  const std::vector<std::byte> from(8);
  std::vector<std::byte> to(8);
  const std::vector<std::uint64_t> bytes = {8};
  comm.all_to_all(from, bytes, to, bytes);
  comm.wait(comm.start_all_gather({}, from, to));
  EXPECT_EXIT(comm.all_to_all(from, bytes, to, bytes), ::testing::KilledBySignal(SIGKILL), "");
}

class FaultOfAFile : public ::testing::Test {
 protected:
  FaultOfAFile() { std::ofstream(path_) << "0123456789"; }

  // What the second of two arrivals leaves of a read from byte 4 on.
  ReadFault read_under(const char* what) {
    FaultInjector fault = injector_of((std::string(what) + "@0:load:1").c_str());
    fault.arrive(FaultStage::Load, 0);
    EXPECT_EQ(fault.on_file(path_, 4), ReadFault::None) << "of another unit";
    fault.arrive(FaultStage::Load, 1);
    const ReadFault of_read = fault.on_file(path_, 4);
    EXPECT_EQ(fault.on_file(path_, 4), ReadFault::None) << "once";
    return of_read;
  }
  [[nodiscard]] std::string text() const {
    std::string text;
    std::ifstream(path_) >> text;
    return text;
  }
  [[nodiscard]] FileStamp stamp() const { return LocalFiles().stat(path_)->stamp; }

  const testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.file("a");
};

TEST_F(FaultOfAFile, OfAReadChangesNothing) {
  const FileStamp before = stamp();
  EXPECT_EQ(read_under("eio"), ReadFault::Eio);
  EXPECT_EQ(read_under("short"), ReadFault::Short);
  EXPECT_EQ(stamp(), before);
}

TEST_F(FaultOfAFile, CutsItWhereTheReadBegins) {
  EXPECT_EQ(read_under("truncated"), ReadFault::None);
  EXPECT_EQ(text(), "0123");
}

TEST_F(FaultOfAFile, PutsAnotherInItsPlaceOrWritesItAnew) {
  const FileStamp before = stamp();
  read_under("replaced");
  EXPECT_NE(stamp().inode, before.inode);
  const FileStamp replaced = stamp();
  std::filesystem::last_write_time(
      path_, std::filesystem::file_time_type::clock::now() - std::chrono::seconds(9));
  read_under("rewritten");
  EXPECT_EQ(stamp().inode, replaced.inode);
  EXPECT_EQ(text(), "0123456789");
}

TEST_F(FaultOfAFile, HeadersAreReadAgainAfterAShortReadAndNotAfterAnError) {
  const auto read = [&](const char* fault) {
    setenv("INITRT_TEST_FAULT", fault, 1);
    arm_fault(0, 1, {});
    const auto files = make_local_files({});
    std::string text;
    try {
      for (const std::byte byte : files->read(path_, 2, 5)) text += static_cast<char>(byte);
    } catch (const Error& error) {
      text = error.what();
    }
    std::fprintf(stderr, "%s\n", text.c_str());
    std::_Exit(0);
  };
  EXPECT_EXIT(read("short@0:headers:0"), ::testing::ExitedWithCode(0), "23456");
  EXPECT_EXIT(read("eio@0:headers:0"), ::testing::ExitedWithCode(0),
              "cannot read at byte 2: Input/output error");
  EXPECT_EXIT(read("truncated@0:headers:0"), ::testing::ExitedWithCode(0),
              "truncated while it was read: it ends at byte 2, byte 7 was expected");
}

}  // namespace
}  // namespace initrt
