#include "runtime/comm/descriptor_exchange.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::chrono::seconds kReceiveTimeout{30};
constexpr int kCheckMs = 50;  // how late a failure of another rank may be noticed

sockaddr_un address_of(const std::vector<std::byte>& key, std::uint32_t rank, socklen_t& length) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string text = "initrt-";
  for (const std::byte byte : key) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  text += fmt::format("-{}", rank);
  std::memcpy(address.sun_path + 1, text.data(), text.size());  // sun_path[0] = 0: abstract
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  return address;
}

Descriptor checked(int result, const char* what) {
  if (result < 0) fail("mapped memory: {}: {}", what, std::strerror(errno));
  return Descriptor(result);
}

void send_descriptor(int socket, std::uint32_t rank, int fd) {
  iovec data{&rank, sizeof(rank)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
  if (sendmsg(socket, &message, MSG_NOSIGNAL) != sizeof(rank)) {
    fail("mapped memory: sending a descriptor: {}", std::strerror(errno));
  }
}

// Of a socket that has something to say.
std::pair<std::uint32_t, Descriptor> receive_descriptor(int socket) {
  std::uint32_t rank = 0;
  iovec data{&rank, sizeof(rank)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  const cmsghdr* header = received == sizeof(rank) ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) {
    fail("mapped memory: receiving a descriptor: {}",
         received < 0 ? std::strerror(errno) : "the other rank has gone");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(int));
  return {rank, Descriptor(fd)};
}

bool same_user(int socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == geteuid();
}

// One from each other rank. Whoever connects and says nothing holds nobody up.
void receive_all(Communicator& base, int listener, std::vector<Descriptor>& descriptors) {
  std::vector<Descriptor> accepted;
  std::vector<pollfd> waiting;
  const auto deadline = std::chrono::steady_clock::now() + kReceiveTimeout;
  for (std::uint32_t received = 1; received < base.size();) {
    waiting.assign(1, {listener, POLLIN, 0});
    for (const Descriptor& one : accepted) waiting.push_back({one.get(), POLLIN, 0});
    if (::poll(waiting.data(), waiting.size(), kCheckMs) <= 0) base.check();
    if (std::chrono::steady_clock::now() > deadline) {
      fail("mapped memory: no word from another rank for {} s", kReceiveTimeout.count());
    }
    for (std::size_t i = accepted.size(); i-- > 0;) {
      if (waiting[i + 1].revents == 0) continue;
      const Descriptor from = std::move(accepted[i]);
      accepted.erase(accepted.begin() + static_cast<std::ptrdiff_t>(i));
      auto [rank, descriptor] = receive_descriptor(from.get());
      if (rank >= base.size() || descriptors[rank].get() >= 0) {
        fail("mapped memory: a descriptor from rank {}, which is not expected", rank);
      }
      descriptors[rank] = std::move(descriptor);
      ++received;
    }
    if (waiting.front().revents == 0) continue;
    Descriptor from =
        checked(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accepting a rank");
    if (same_user(from.get())) accepted.push_back(std::move(from));
  }
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::vector<Descriptor> exchange_descriptors(Communicator& base, int mine) {
  std::vector<std::byte> key(16);
  if (base.rank() == 0 && getrandom(key.data(), key.size(), 0) != 16) {
    fail("mapped memory: getrandom: {}", std::strerror(errno));
  }
  base.broadcast(key, 0);
  socklen_t length = 0;
  const sockaddr_un own = address_of(key, base.rank(), length);
  const Descriptor listener =
      checked(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "opening a Unix socket");
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&own), length) != 0 ||
      ::listen(listener.get(), static_cast<int>(base.size())) != 0) {
    fail("mapped memory: listening on a Unix socket: {}", std::strerror(errno));
  }
  std::vector<std::byte> all(base.size());
  const std::byte here{1};
  base.all_gather({&here, 1}, all);  // everyone listens
  for (std::uint32_t peer = 0; peer < base.size(); ++peer) {
    if (peer == base.rank()) continue;
    const Descriptor to =
        checked(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "opening a Unix socket");
    const sockaddr_un address = address_of(key, peer, length);
    if (::connect(to.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
      fail(
          "mapped memory: rank {} cannot reach rank {} ({}); ranks on several nodes need "
          "\"communicator\": \"mpi\"",
          base.rank(), peer, std::strerror(errno));
    }
    send_descriptor(to.get(), base.rank(), mine);
  }
  std::vector<Descriptor> descriptors(base.size());
  descriptors[base.rank()] = checked(fcntl(mine, F_DUPFD_CLOEXEC, 0), "duplicating a descriptor");
  receive_all(base, listener.get(), descriptors);
  base.all_gather({&here, 1}, all);  // nobody closes before everyone has received
  return descriptors;
}

}  // namespace initrt
