// What ranks send one another: a part for each, anywhere in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace initrt {

/// By rank.
using PartsToSend = std::span<const std::span<const std::byte>>;
using PartsToReceive = std::span<const std::span<std::byte>>;

/// Parts that lie one after the other. @param bytes of each
template <class Byte>
[[nodiscard]] std::vector<std::span<Byte>> parts_of(std::span<Byte> all,
                                                    std::span<const std::uint64_t> bytes) {
  std::vector<std::span<Byte>> parts;
  parts.reserve(bytes.size());
  for (const std::uint64_t part : bytes) {
    parts.push_back(all.first(part));
    all = all.subspan(part);
  }
  return parts;
}

}  // namespace initrt
