// The watch of a world of one.
#include "runtime/comm/self.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>

namespace initrt {
namespace {

/// What a run of two seconds with a timeout of one is told; "" where it is nothing.
std::string stall_of(const std::function<void(SelfCommunicator&)>& every_tenth_of_a_second) {
  std::promise<std::string> stalled;
  SelfCommunicator comm([&](const std::string& message) { stalled.set_value(message); });
  comm.set_timeout(std::chrono::seconds(1));
  comm.note_progress(Stage::Load, 3);
  std::future<std::string> message = stalled.get_future();
  for (int i = 0; i < 20; ++i) {
    every_tenth_of_a_second(comm);
    if (message.wait_for(std::chrono::milliseconds(100)) == std::future_status::ready) {
      return message.get();
    }
  }
  return "";
}

TEST(SelfCommunicator, ARunWithoutProgressHasStalled) {
  EXPECT_EQ(stall_of([](SelfCommunicator&) {}),
            "no progress for 1 s (key \"timeout\") while loading unit 3");
}

TEST(SelfCommunicator, ARunThatIsSlowHasNot) {
  EXPECT_EQ(stall_of([](SelfCommunicator& comm) { comm.note_progress(Stage::Output, 0); }), "");
}

}  // namespace
}  // namespace initrt
