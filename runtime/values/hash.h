// Hashes of streamed bytes: XXH3 with 128 bits, from the xxHash library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace initrt {

struct Hash {
  std::uint64_t high = 0, low = 0;
  bool operator==(const Hash&) const = default;
};

/// 32 hexadecimal digits.
[[nodiscard]] std::string hash_text(const Hash& hash);

class Hasher {
 public:
  Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  ~Hasher();

  void add(std::span<const std::byte> bytes);
  /// Of all bytes so far.
  [[nodiscard]] Hash value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace initrt
