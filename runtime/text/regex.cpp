// PCRE2 behind the syntax and the Unicode version of the reference tokenizers.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/text/regex.h"

#include <pcre2.h>
#include <nlohmann/json.hpp>

#include <array>

#include "runtime/text/oniguruma.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

Regex::Regex(std::string_view pattern, std::uint32_t options, std::string where)
    : where_(std::move(where)) {
  const std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(units(pattern), pattern.size(), options, &error, &offset, context.get());
  if (code == nullptr) {
    fail("{}: the regular expression {} is not valid: {}", where_, in_quotes(pattern),
         message_of(error));
  }
  code_ = std::shared_ptr<const void>(code, [code](const void*) { pcre2_code_free(code); });
  // Only speed: where memory must not be executable, matching is interpreted.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

Regex Regex::from_oniguruma(std::string_view pattern, std::string where) {
  const std::string translated = pcre2_from_oniguruma(pattern, where);
  return from_pcre2(translated, std::move(where));
}

Regex Regex::from_pcre2(std::string_view pattern, std::string where) {
  return {pattern, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
          std::move(where)};
}

Regex Regex::from_json(const JsonNode& json) {
  const std::optional<JsonNode> regex = json.find("Regex");
  const JsonNode text = regex ? *regex : json.at("String");
  return regex ? from_oniguruma(text.string(), text.path()) : literal(text.string(), text.path());
}

Regex Regex::literal(std::string_view text, std::string where) {
  return {text, PCRE2_UTF | PCRE2_LITERAL, std::move(where)};
}

void Regex::each_match(std::string_view text,
                       const std::function<void(std::size_t begin, std::size_t end)>& match) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>> data(
      pcre2_match_data_create(1, nullptr));
  if (!data) throw std::bad_alloc();
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
  std::size_t last_end = std::string_view::npos;
  for (std::size_t at = 0; at <= text.size();) {
    int found =
        pcre2_match(code, units(text), text.size(), at, PCRE2_NO_UTF_CHECK, data.get(), nullptr);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      // The interpreter's stack is on the heap and larger.
      found = pcre2_match(code, units(text), text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                          data.get(), nullptr);
    }
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found < 0) {
      fail("{}: the regular expression failed at byte {} of a text: {}", where_, at,
           message_of(found));
    }
    const std::size_t begin = span[0];
    const std::size_t end = span[1];
    if (end > begin || begin != last_end) match(begin, end);
    last_end = end;
    at = end;
    if (end == begin) at += end < text.size() ? utf8_step(text.substr(end)).bytes : 1;
  }
}

std::string Regex::replace(std::string_view text, std::string_view content,
                           std::size_t most_bytes) const {
  std::string replaced;
  if (text.empty()) return replaced;
  std::size_t done = 0;
  each_match(text, [&](std::size_t begin, std::size_t end) {
    replaced += text.substr(done, begin - done);
    replaced += content;
    done = end;
    if (replaced.size() > most_bytes) {
      fail("{}: a text of {} bytes becomes one of more than {}", where_, text.size(), most_bytes);
    }
  });
  return replaced += text.substr(done);
}

}  // namespace initrt
