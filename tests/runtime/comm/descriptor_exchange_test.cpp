// File descriptors between ranks, with somebody else at the door.
#include "runtime/comm/descriptor_exchange.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "runtime/comm/forwarding.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using testing::Each;
using testing::IsEmpty;

/// Connects to this rank's socket before any other rank does, and says nothing. Names of sockets
/// can be seen by any process of the node, in /proc/net/unix.
class WithSilentGuest final : public ForwardingCommunicator {
 public:
  using ForwardingCommunicator::ForwardingCommunicator;

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    if (guest_.get() < 0) guest_ = connect();  // by now this rank listens, and others do not know
    ForwardingCommunicator::all_gather(mine, all);
  }
  void broadcast(std::vector<std::byte>& data, std::uint32_t root) override {
    ForwardingCommunicator::broadcast(data, root);
    key_ = data;
  }

  [[nodiscard]] bool has_guest() const { return guest_.get() >= 0; }

 private:
  [[nodiscard]] Descriptor connect() const {
    std::string name = "initrt-";
    for (const std::byte byte : key_) name += fmt::format("{:02x}", static_cast<unsigned>(byte));
    name += fmt::format("-{}", rank());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    Descriptor guest(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const auto* const to = reinterpret_cast<const sockaddr*>(&address);
    return ::connect(guest.get(), to, length) == 0 ? std::move(guest) : Descriptor();
  }

  std::vector<std::byte> key_;
  Descriptor guest_;
};

TEST(DescriptorExchange, IsNotHeldUpByWhoConnectsAndSaysNothing) {
  const auto failures = run_ranks(3, [](Communicator& base) {
    WithSilentGuest comm(base);
    const Descriptor mine(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::vector<Descriptor> all = exchange_descriptors(comm, mine.get());
    EXPECT_TRUE(comm.has_guest());
    ASSERT_EQ(all.size(), 3u);
    for (const Descriptor& one : all) {
      struct stat status {};
      EXPECT_EQ(::fstat(one.get(), &status), 0);
      EXPECT_TRUE(S_ISCHR(status.st_mode));
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

}  // namespace
}  // namespace initrt
