// A unit of a Darts-clone double array: a trie in one array of 32-bit words.
#pragma once

#include <cstdint>

namespace initrt {

struct DoubleArrayUnit {
  std::uint32_t bits = 0;

  [[nodiscard]] bool has_leaf() const { return (bits >> 8 & 1) != 0; }
  [[nodiscard]] std::uint32_t value() const { return bits & 0x7fffffff; }
  /// A byte of the key; beyond 255 for units that hold a value.
  [[nodiscard]] std::uint32_t label() const { return bits & 0x800000ff; }
  /// From a unit to its children: a child is at (its place ^ offset ^ label).
  [[nodiscard]] std::uint32_t offset() const { return bits >> 10 << ((bits & 0x200) >> 6); }
};

}  // namespace initrt
