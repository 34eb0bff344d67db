// What all ranks must have been started with alike, agreed before anything else.
#pragma once

#include <span>
#include <string>

#include "runtime/comm/communicator.h"

namespace initrt {

/// Collective. @param version of this program @param arguments of this rank's command line, without
/// the program's name
/// @throws Error on every rank, naming the first rank whose version or arguments are not rank 0's
void agree_on_start(Communicator& comm, const std::string& version,
                    std::span<const std::string> arguments);

}  // namespace initrt
