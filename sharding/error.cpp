#include "sharding/error.h"

namespace initrt {
namespace {

bool is_control(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

// U+0080 to U+009F in UTF-8: control characters too, the one-character form of "\x1b[" among them.
bool is_c1_control(std::string_view text) {
  if (text.size() < 2 || text[0] != '\xc2') return false;
  const auto second = static_cast<unsigned char>(text[1]);
  return second >= 0x80 && second < 0xa0;
}

std::string escape(char control) {
  switch (control) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return fmt::format("\\x{:02x}", static_cast<unsigned char>(control));
  }
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_control(static_cast<unsigned char>(text[i]))) {
      line += escape(text[i]);
    } else if (is_c1_control(text.substr(i))) {
      line += escape(text[i]) + escape(text[i + 1]);
      ++i;
    } else {
      line += text[i];
    }
  }
  return line;
}

}  // namespace initrt
