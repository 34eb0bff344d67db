#include "runtime/machine/agreement.h"

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/machine/placement.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Of a fixed size, whatever the version: what one version sends, every other one can read.
struct Start {
  std::array<char, 64> version{};
  std::uint64_t arguments = 0;  // their hash
};

std::uint64_t hash_of_arguments(std::span<const std::string> arguments) {
  std::string all;
  for (const std::string& argument : arguments) all += argument + '\0';
  return hash_of(std::as_bytes(std::span(all)));
}

}  // namespace

void agree_on_start(Communicator& comm, const std::string& version,
                    std::span<const std::string> arguments) {
  Start mine{{}, hash_of_arguments(arguments)};
  version.copy(mine.version.data(), mine.version.size() - 1);
  std::vector<Start> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank].version != all[0].version) {
      fail("rank {} is initrt \"{}\", rank 0 is \"{}\": all ranks must be of one version", rank,
           all[rank].version.data(), all[0].version.data());
    }
    if (all[rank].arguments != all[0].arguments) {
      fail("rank {} was started with other arguments than rank 0: all ranks must have the same",
           rank);
    }
  }
}

}  // namespace initrt
