// Unicode normalization by utf8proc.
#include "runtime/text/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "sharding/error.h"

namespace initrt {

Normalizer::Normalizer(const std::optional<JsonNode>& json) {
  if (!json) return;
  const std::string& type = json->at("type").string();
  if (type == "NFC") {
    nfc_ = true;
  } else if (type == "Sequence") {
    const JsonNode parts = json->at("normalizers");
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const JsonNode part = parts.item(i);
      if (part.at("type").string() != "NFC") part.at("type").expected("\"NFC\"");
      nfc_ = true;
    }
  } else {
    json->at("type").expected("\"NFC\" or \"Sequence\"");
  }
}

std::string Normalizer::operator()(std::string_view text) const {
  if (!nfc_ || text.empty()) return std::string(text);
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &raw,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> normalized(raw, &std::free);
  if (bytes < 0) fail("a text cannot be normalized: {}", utf8proc_errmsg(bytes));
  return {reinterpret_cast<const char*>(raw), static_cast<std::size_t>(bytes)};
}

}  // namespace initrt
