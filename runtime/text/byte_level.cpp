// The table: the printable characters of Latin-1 stand for themselves, the other 68 bytes for
// U+0100, U+0101, ... in order.
#include "runtime/text/byte_level.h"

#include <array>
#include <cstdint>

#include "runtime/text/utf8.h"

namespace initrt {
namespace {

constexpr std::size_t kFirstMoved = 0x100;
constexpr std::size_t kMoved = 68;

struct Table {
  std::array<char16_t, 256> character{};
  std::array<std::int16_t, kFirstMoved + kMoved> byte{};  ///< by code point; -1 where none
};

constexpr Table make_table() {
  Table table;
  table.byte.fill(-1);
  std::size_t moved = kFirstMoved;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
    const std::size_t character = printable ? byte : moved++;
    table.character[byte] = static_cast<char16_t>(character);
    table.byte[character] = static_cast<std::int16_t>(byte);
  }
  return table;
}

constexpr Table kTable = make_table();

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + bytes.size() / 2);
  for (const char byte : bytes) {
    append_utf8(text, kTable.character[static_cast<unsigned char>(byte)]);
  }
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    std::size_t code_point = lead;
    if (lead >= 0x80) {
      // The alphabet ends below U+0800, so nothing longer than two bytes is in it.
      const Utf8Step step = utf8_step(text);
      if (step.kind != Utf8Step::Kind::Valid || step.bytes != 2) return std::nullopt;
      code_point = ((lead & 0x1Fu) << 6) | (static_cast<unsigned char>(text[1]) & 0x3Fu);
    }
    if (code_point >= kTable.byte.size() || kTable.byte[code_point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kTable.byte[code_point]));
    text.remove_prefix(lead >= 0x80 ? 2 : 1);
  }
  return bytes;
}

}  // namespace initrt
