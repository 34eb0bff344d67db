// Bytes as a person reads them.
#pragma once

#include <string>

namespace initrt {

/// "1.50 GB": three digits, powers of 1000.
[[nodiscard]] std::string human_bytes(double bytes);

}  // namespace initrt
