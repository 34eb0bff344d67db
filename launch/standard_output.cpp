#include "launch/standard_output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sharding/error.h"

namespace initrt {

void put(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fail("standard output cannot be written: {}", std::strerror(errno));
  }
}

}  // namespace initrt
