#include "runtime/text/charsmap.h"

#include <cstring>

#include "runtime/text/characters.h"
#include "runtime/text/sentencepiece_model.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::size_t kMaxWholeCluster = 5;  // bytes

std::string from_base64(const JsonNode& json) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string_view text = json.string();
  if (text.size() % 4 != 0) json.expected("base64");
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char letter : text) {
    const std::size_t digit = kDigits.find(letter);
    if (digit == std::string_view::npos) json.expected("base64");
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xff));
  }
  return bytes;
}

}  // namespace

Charsmap::Charsmap(const JsonNode& json) {
  const std::string bytes = from_base64(json);
  try {
    check_charsmap(bytes);
  } catch (const Error& error) {
    fail("{}: {}", json.path(), error.what());
  }
  std::uint32_t array = 0;
  std::memcpy(&array, bytes.data(), sizeof array);
  units_.resize(array / sizeof(DoubleArrayUnit));
  std::memcpy(units_.data(), bytes.data() + sizeof array, array);
  replacements_ = bytes.substr(sizeof array + array);
}

const char* Charsmap::find(std::string_view text) const {
  std::uint32_t at = units_[0].offset();
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte == 0) break;
    at ^= byte;
    const DoubleArrayUnit unit = units_[at];
    if (unit.label() != byte) break;
    at ^= unit.offset();
    if (unit.has_leaf()) return replacements_.data() + units_[at].value();
  }
  return nullptr;
}

std::string Charsmap::apply(std::string_view text, std::size_t& front) const {
  std::string mapped;
  const auto put = [&](std::string_view from, std::string_view to) {
    const bool first = front > 0 && mapped.empty() && !to.empty();
    mapped += to;
    if (first) front = first_character(from) == from ? to.size() : first_character(to).size();
  };
  while (!text.empty()) {
    const std::string_view cluster = first_cluster(text);
    const char* const replacement = cluster.size() <= kMaxWholeCluster ? find(cluster) : nullptr;
    if (replacement != nullptr) {
      put(cluster, replacement);
    } else {
      for (std::string_view rest = cluster; !rest.empty();) {
        const std::string_view character = first_character(rest);
        const char* const other = find(character);
        put(character, other != nullptr ? std::string_view(other) : character);
        rest.remove_prefix(character.size());
      }
    }
    text.remove_prefix(cluster.size());
  }
  return to_valid_utf8(mapped);  // a replacement may begin inside a character
}

}  // namespace initrt
