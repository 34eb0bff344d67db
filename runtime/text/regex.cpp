// PCRE2 behind the syntax and the Unicode version of the reference tokenizers.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/text/regex.h"

#include <pcre2.h>

#include <array>
#include <cctype>

#include "runtime/text/json_node.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Letters and numbers that Unicode 15, 15.1 and 16 added (UnicodeData.txt). Debian 12's PCRE2
// 10.42 knows Unicode 14, the reference library Unicode 16; a newer PCRE2 just has them twice.
constexpr std::string_view kNewLetters =
    R"(\x{1C89}\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{105C0}-\x{105F3}\x{10D4A}-\x{10D65})"
    R"(\x{10D6F}-\x{10D85}\x{10EC2}-\x{10EC4}\x{1123F}\x{11240}\x{11380}-\x{11389}\x{1138B})"
    R"(\x{1138E}\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0}\x{11F02})"
    R"(\x{11F04}-\x{11F10}\x{11F12}-\x{11F33}\x{1342F}\x{13441}-\x{13446}\x{13460}-\x{143FA})"
    R"(\x{16100}-\x{1611D}\x{16D40}-\x{16D6C}\x{18CFF}\x{1B132}\x{1B155}\x{1DF25}-\x{1DF2A})"
    R"(\x{1E030}-\x{1E06D}\x{1E4D0}-\x{1E4EB}\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739})"
    R"(\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
constexpr std::string_view kNewNumbers =
    R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59})"
    R"(\x{16130}-\x{16139}\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1D2C0}-\x{1D2D3})"
    R"(\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})";

/// Rewrites a pattern in Oniguruma's Ruby syntax to PCRE2's.
class Translation {
 public:
  Translation(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string run() {
    while (!rest().empty()) {
      if (pattern_[at_] == '\\') {
        escape();
      } else if (in_class_) {
        class_character();
      } else if (pattern_[at_] == '[') {
        in_class_ = true;
        copy(1);
        if (rest().starts_with('^')) copy(1);
        if (rest().starts_with(']')) copy(1);
      } else {
        if (rest().starts_with("(*")) unsupported("a verb");
        if (rest().starts_with("(?")) check_group();
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string_view rest() const { return pattern_.substr(at_); }

  void copy(std::size_t bytes) {
    out_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }

  [[noreturn]] void unsupported(std::string_view what) const {
    fail("{}: {} at byte {} of the regular expression {} is not supported", where_, what, at_,
         in_quotes(pattern_));
  }

  void escape() {
    if (rest().size() < 2) unsupported("a backslash at the end");
    const char letter = pattern_[at_ + 1];
    if (letter == 's' || letter == 'S') {
      // PCRE2's \s also has U+180E and lacks U+0085; Oniguruma's is the Unicode property.
      out_ += letter == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      at_ += 2;
    } else if (rest().starts_with("\\p{L}") || rest().starts_with("\\p{N}")) {
      const std::string_view added = rest()[3] == 'L' ? kNewLetters : kNewNumbers;
      if (!in_class_) out_ += '[';
      copy(5);
      out_ += added;
      if (!in_class_) out_ += ']';
    } else if (std::string_view("dDpPrntx").find(letter) != std::string_view::npos ||
               !std::isalnum(static_cast<unsigned char>(letter))) {
      copy(2);
    } else {
      unsupported(fmt::format("\\{}", letter));
    }
  }

  void class_character() {
    if (rest().starts_with("&&")) unsupported("an intersection of sets");
    if (rest().starts_with('[')) unsupported("a set inside a set");
    if (rest().starts_with(']')) in_class_ = false;
    copy(1);
  }

  /// Ruby's option m is PCRE2's s, and it has options that PCRE2 has not.
  void check_group() const {
    const std::string_view inside = rest().substr(2);
    for (std::size_t i = 0; i < inside.size(); ++i) {
      if (!std::isalpha(static_cast<unsigned char>(inside[i])) && inside[i] != '-') break;
      if (inside[i] != 'i' && inside[i] != 'x' && inside[i] != '-') {
        unsupported(fmt::format("option \"{}\"", inside[i]));
      }
    }
  }

  std::string_view pattern_;
  const std::string& where_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

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
  const std::string translated = Translation(pattern, where).run();
  return {translated, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
          std::move(where)};
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

}  // namespace initrt
