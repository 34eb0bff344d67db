// Passing file descriptors between the processes of one node.
#pragma once

#include <vector>

#include "runtime/comm/communicator.h"

namespace initrt {

/// An owned file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

/// Every rank gives a descriptor and gets everyone's, by rank (its own as a duplicate). Over Unix
/// sockets in the abstract namespace, whose names nobody can take beforehand; only processes of the
/// same user are accepted.
/// @throws Error where a rank cannot be reached, which is so for ranks on other nodes
[[nodiscard]] std::vector<Descriptor> exchange_descriptors(Communicator& base, int mine);

}  // namespace initrt
