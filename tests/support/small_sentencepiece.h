// SentencePiece models written by hand, field by field: small ones, and such as no trainer makes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sharding/checkpoint/header_writers.h"

namespace initrt::testing {

/// Protobuf's wire format.
inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value > 127; value >>= 7) bytes.push_back(static_cast<char>((value & 127) | 128));
  return bytes.append(1, static_cast<char>(value));
}
inline std::string number_field(std::uint32_t field, std::uint64_t value) {
  return varint(field << 3) + varint(value);
}
inline std::string bytes_field(std::uint32_t field, std::string_view bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

enum PieceType : int { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

/// A model's parts: what a test changes. As they are: <unk>, <s>, </s>, the space and the letters,
/// BPE, no normalization.
struct SmallSentencePiece {
  SmallSentencePiece() {
    add("<unk>", kUnknown);
    add("<s>", kControl);
    add("</s>", kControl);
    add("\u2581");
    for (char letter = 'a'; letter <= 'z'; ++letter) add(std::string(1, letter));
  }

  void add(std::string_view text, int type = kNormal) {
    const auto score = -static_cast<float>(count++);
    pieces += bytes_field(1, bytes_field(1, text) + varint(2 << 3 | 5) + raw(score) +
                                 number_field(3, static_cast<std::uint64_t>(type)));
  }
  /// The 256 pieces of byte_fallback, and the setting.
  void add_bytes() {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    for (std::size_t byte = 0; byte < 256; ++byte) {
      add({std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">"}, kByte);
    }
    trainer += number_field(35, 1);
  }

  [[nodiscard]] std::string model() const {
    return pieces + bytes_field(2, trainer) + bytes_field(3, normalizer) + more;
  }

  std::string pieces, trainer = number_field(3, 2), normalizer = number_field(4, 0), more;
  int count = 0;
};

/// A precompiled_charsmap that replaces each key by its value. Every node of the double array has
/// the 256 units of a block to itself: its child by a byte is the unit of that number.
class SmallCharsmap {
 public:
  SmallCharsmap() {
    add_block();
    set(0, add_block(), 0);
  }

  void add(std::string_view key, std::string_view replacement) {
    std::uint32_t unit = 0;
    for (const char byte : key) {
      const std::uint32_t label = static_cast<unsigned char>(byte);
      const std::uint32_t child = base(unit) | label;
      if (units[child] == kFree) set(child, add_block() ^ child, label);
      unit = child;
    }
    units[unit] |= 1 << 8;
    units[base(unit)] = 0x80000000 | static_cast<std::uint32_t>(replacements.size());
    replacements.append(replacement).push_back('\0');
  }

  void set(std::uint32_t unit, std::uint32_t offset, std::uint32_t label) {
    units[unit] = offset << 10 | label;
  }
  [[nodiscard]] std::uint32_t base(std::uint32_t unit) const { return unit ^ units[unit] >> 10; }

  [[nodiscard]] std::string bytes() const {
    std::string text = raw(static_cast<std::uint32_t>(units.size() * 4));
    for (const std::uint32_t unit : units) text += raw(unit);
    return text + replacements;
  }

  std::vector<std::uint32_t> units;
  std::string replacements;

 private:
  static constexpr std::uint32_t kFree = 0x80000000;  // the child by no byte

  std::uint32_t add_block() {
    units.resize(units.size() + 256, kFree);
    return static_cast<std::uint32_t>(units.size()) - 256;
  }
};

}  // namespace initrt::testing
