// Bytes as a person reads them.
#pragma once

#include <concepts>
#include <string>

namespace initrt {

/// "1.50 GB": three digits, powers of 1000.
[[nodiscard]] std::string human_bytes(double bytes);

[[nodiscard]] std::string human_bytes(std::integral auto bytes) {
  return human_bytes(static_cast<double>(bytes));
}

}  // namespace initrt
