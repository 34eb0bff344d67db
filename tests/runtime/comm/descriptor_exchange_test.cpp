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

#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using testing::Each;
using testing::IsEmpty;

/// Connects to this rank's socket before any other rank does, and says nothing. Names of sockets
/// can be seen by any process of the node, in /proc/net/unix.
class WithSilentGuest final : public Communicator {
 public:
  explicit WithSilentGuest(Communicator& base) : base_(base) {}

  [[nodiscard]] std::uint32_t rank() const override { return base_.rank(); }
  [[nodiscard]] std::uint32_t size() const override { return base_.size(); }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    if (guest_.get() < 0) guest_ = connect();  // by now this rank listens, and others do not know
    base_.all_gather(mine, all);
  }
  void all_to_all(std::span<const std::byte> out, std::span<const std::uint64_t> out_bytes,
                  std::span<std::byte> in, std::span<const std::uint64_t> in_bytes) override {
    base_.all_to_all(out, out_bytes, in, in_bytes);
  }
  void broadcast(std::vector<std::byte>& data, std::uint32_t root) override {
    base_.broadcast(data, root);
    key_ = data;
  }
  TransferHandle start_all_gather(std::function<bool()> ready, std::span<const std::byte> chunk,
                                  std::span<std::byte> whole) override {
    return base_.start_all_gather(std::move(ready), chunk, whole);
  }
  Interval wait(const TransferHandle& transfer) override { return base_.wait(transfer); }
  void check() override { base_.check(); }
  void note_progress(Stage stage, std::uint32_t unit) override { base_.note_progress(stage, unit); }
  void fail_world(const std::string& message) override { base_.fail_world(message); }

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

  Communicator& base_;
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
