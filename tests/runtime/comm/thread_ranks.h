// Runs the ranks of an in-process world, one thread each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/comm/threads.h"

namespace initrt {

/// @returns what each rank failed with, empty where it did not. A rank that fails, fails the world.
inline std::vector<std::string> run_ranks(std::uint32_t size,
                                          const std::function<void(Communicator&)>& body) {
  const auto world = std::make_shared<ThreadWorld>(size);
  std::vector<std::string> failures(size);
  std::vector<std::thread> ranks;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    ranks.emplace_back([&, rank] {
      ThreadCommunicator comm(world, rank);
      try {
        body(comm);
      } catch (const std::exception& error) {
        failures[rank] = error.what();
        comm.fail_world(error.what());
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
  return failures;
}

}  // namespace initrt
