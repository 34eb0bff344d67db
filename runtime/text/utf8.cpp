// UTF-8 validation, replacement of what is not UTF-8, and the stream that completes characters.
#include "runtime/text/utf8.h"

#include "runtime/text/tokenizer.h"

namespace initrt {

Utf8Step utf8_step(std::string_view text) {
  using Kind = Utf8Step::Kind;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {Kind::Valid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Kind::Invalid, 1};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range is what keeps out overlong forms, surrogates and numbers too large.
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Kind::Truncated, i};
    if (byte(i) < low || byte(i) > high) return {Kind::Invalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Kind::Valid, length};
}

std::string to_valid_utf8(std::string_view text) {
  Utf8Stream stream;
  std::string valid = stream.push(text);
  return valid += stream.finish();
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto push_tail = [&](int shift) { push(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | (code_point >> 6));
    push_tail(0);
  } else if (code_point < 0x10000) {
    push(0xE0 | (code_point >> 12));
    push_tail(6);
    push_tail(0);
  } else {
    push(0xF0 | (code_point >> 18));
    push_tail(12);
    push_tail(6);
    push_tail(0);
  }
}

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string complete;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (step.kind == Utf8Step::Kind::Truncated) break;
    complete +=
        step.kind == Utf8Step::Kind::Valid ? rest.substr(0, step.bytes) : kReplacementCharacter;
    rest.remove_prefix(step.bytes);
  }
  pending_ = std::string(rest);
  return complete;
}

std::string Utf8Stream::finish() {
  const bool incomplete = !pending_.empty();
  pending_.clear();
  return incomplete ? std::string(kReplacementCharacter) : std::string();
}

}  // namespace initrt
