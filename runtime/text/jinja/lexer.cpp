// The rules are those of Jinja 3.1 (lexer.py; "Whitespace Control" in its documentation).
#include "runtime/text/jinja/lexer.h"

#include <algorithm>

#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/constants.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

using Type = Token::Type;

constexpr std::size_t kMaxOpenBrackets = 1000;

// All line ends as \n, and without the one that ends the source.
std::string with_line_ends(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_line_ends(source)) {}

  std::vector<Token> read() {
    while (at_ < source_.size()) {
      const std::size_t open = next_tag();
      data(open);
      at_ = open;
      if (at_ < source_.size()) tag();
    }
    add(Type::End, "");
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] std::string_view rest() const { return std::string_view(source_).substr(at_); }

  void add(Type type, std::string text) { tokens_.push_back({type, std::move(text), line_}); }

  // Goes past `bytes`, and counts lines.
  void skip(std::size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes),
                                         '\n'));
    at_ += bytes;
  }

  void skip_spaces() { skip(rest().size() - strip_spaces(rest(), true, false).size()); }

  [[nodiscard]] std::size_t next_tag() const {
    for (std::size_t i = at_; (i = source_.find('{', i)) != std::string::npos; ++i) {
      const char kind = i + 1 < source_.size() ? source_[i + 1] : ' ';
      if (kind == '{' || kind == '%' || kind == '#') return i;
    }
    return source_.size();
  }

  // What white space control leaves of a text before a tag.
  [[nodiscard]] std::string_view before_tag(std::string_view text, std::size_t open) const {
    if (open >= source_.size()) return text;
    const bool variable = source_[open + 1] == '{';
    const char sign = open + 2 < source_.size() ? source_[open + 2] : ' ';
    if (sign == '-') return strip_spaces(text, false, true);
    if (sign == '+' || variable) return text;
    const std::size_t line_end = text.rfind('\n');
    if (line_end == std::string_view::npos && !line_starts_) return text;
    const std::size_t start = line_end == std::string_view::npos ? 0 : line_end + 1;
    return strip_spaces(text.substr(start)).empty() ? text.substr(0, start) : text;
  }

  void data(std::size_t open) {
    const std::string_view text = std::string_view(source_).substr(at_, open - at_);
    const std::string_view left = before_tag(text, open);
    if (!left.empty()) add(Type::Data, std::string(left));
    skip(open - at_);
  }

  void tag() {
    const char kind = source_[at_ + 1];
    if (kind == '#') return comment();
    if (kind == '%' && raw()) return;
    add(kind == '{' ? Type::VariableBegin : Type::BlockBegin, "");
    skip(2);
    if (rest().starts_with('-') || rest().starts_with('+')) skip(1);
    const std::string_view end = kind == '{' ? "}}" : "%}";
    std::string open;  // brackets inside the tag
    while (!(open.empty() && closes(end))) {
      if (at_ >= source_.size()) fail("line {}: a tag is not closed", line_);
      element(open);
    }
    close(end);
    add(kind == '{' ? Type::VariableEnd : Type::BlockEnd, "");
    line_starts_ = at_ > 0 && source_[at_ - 1] == '\n';
  }

  // Whether the tag ends here, with its sign.
  [[nodiscard]] bool closes(std::string_view end) const {
    const bool sign = rest().starts_with('-') || (rest().starts_with('+') && end != "}}");
    return rest().substr(sign ? 1 : 0).starts_with(end);
  }

  void close(std::string_view end) {
    const char sign = source_[at_] == '-' || source_[at_] == '+' ? source_[at_] : ' ';
    skip(end.size() + (sign == ' ' ? 0 : 1));
    if (sign == '-') {
      skip_spaces();
    } else if (sign == ' ' && end != "}}" && rest().starts_with('\n')) {
      skip(1);
    }
  }

  void comment() {
    const std::size_t end = source_.find("#}", at_ + 2);
    if (end == std::string::npos) fail("line {}: a comment is not closed", line_);
    const bool signed_end = end > at_ + 2 && (source_[end - 1] == '-' || source_[end - 1] == '+');
    skip(end - at_ - (signed_end ? 1 : 0));
    close("#}");
    line_starts_ = source_[at_ - 1] == '\n';
  }

  // A tag of one word: its end, or 0 where there is no such tag at `at`.
  [[nodiscard]] std::size_t word_tag(std::size_t at, std::string_view word) const {
    std::string_view text = std::string_view(source_).substr(at);
    if (!text.starts_with("{%")) return 0;
    text.remove_prefix(2);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    text = strip_spaces(text, true, false);
    if (!text.starts_with(word)) return 0;
    text = strip_spaces(text.substr(word.size()), true, false);
    const bool sign = text.starts_with('-') || text.starts_with('+');
    if (!text.substr(sign ? 1 : 0).starts_with("%}")) return 0;
    return source_.size() - text.size();
  }

  // {% raw %}: what is inside is text.
  bool raw() {
    const std::size_t begin = word_tag(at_, "raw");
    if (begin == 0) return false;
    const int line = line_;
    skip(begin - at_);
    const bool strips = rest().starts_with('-');
    skip(rest().starts_with('%') ? 2 : 3);
    if (strips) skip_spaces();
    std::size_t open = at_;
    while (open < source_.size() && word_tag(open, "endraw") == 0) {
      open = std::min(source_.find("{%", open + 1), source_.size());
    }
    if (open >= source_.size()) fail("line {}: {{% raw %}} is not closed", line);
    line_starts_ = source_[at_ - 1] == '\n';
    data(open);
    skip(word_tag(open, "endraw") - at_);
    close("%}");
    line_starts_ = source_[at_ - 1] == '\n';
    return true;
  }

  // White space, or one constant, name or sign of a tag.
  void element(std::string& open) {
    const char c = source_[at_];
    if (strip_spaces(rest(), true, false).size() < rest().size()) {
      skip_spaces();
    } else if (c == '\'' || c == '"') {
      string(c);
    } else if (is_digit(c)) {
      number();
    } else if (begins_name(c)) {
      std::size_t bytes = 1;
      while (bytes < rest().size() && (begins_name(rest()[bytes]) || is_digit(rest()[bytes]))) {
        ++bytes;
      }
      add(Type::Name, std::string(rest().substr(0, bytes)));
      skip(bytes);
    } else {
      sign(open);
    }
  }

  void string(char quote) {
    std::size_t bytes = 1;
    while (bytes < rest().size() && rest()[bytes] != quote) {
      bytes += rest()[bytes] == '\\' ? 2 : 1;
    }
    if (bytes >= rest().size()) fail("line {}: a string is not closed", line_);
    try {
      add(Type::String, unescaped(rest().substr(1, bytes - 1)));
    } catch (const Error& error) {
      fail("line {}: {}", line_, error.what());
    }
    skip(bytes + 1);
  }

  void number() {
    // After a dot it is an index: a.0.1
    const bool index = !tokens_.empty() && tokens_.back().type == Type::Sign &&
                       tokens_.back().text == "." && at_ > 0 && source_[at_ - 1] == '.';
    const NumberText number = number_at(rest(), index);
    add(number.is_float ? Type::Float : Type::Integer, number.digits);
    skip(number.bytes);
  }

  void sign(std::string& open) {
    constexpr std::string_view kTwo[] = {"==", "!=", "<=", ">=", "//", "**"};
    constexpr std::string_view kOne = "+-*/%~[](){}<>=.:|,;";
    std::string_view text = rest().substr(0, 2);
    if (std::find(std::begin(kTwo), std::end(kTwo), text) == std::end(kTwo)) {
      text = text.substr(0, 1);
      if (kOne.find(text[0]) == std::string_view::npos) {
        fail("line {}: unexpected char in a tag", line_);
      }
    }
    constexpr std::string_view kOpening = "([{", kClosing = ")]}";
    if (kOpening.find(text[0]) != std::string_view::npos) {
      if (open.size() == kMaxOpenBrackets) fail("line {}: brackets are nested too deep", line_);
      open += kClosing[kOpening.find(text[0])];
    } else if (kClosing.find(text[0]) != std::string_view::npos) {
      if (open.empty() || open.back() != text[0]) fail("line {}: unexpected '{}'", line_, text);
      open.pop_back();
    }
    add(Type::Sign, std::string(text));
    skip(text.size());
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // a tag before this ended a line, or there was none
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    fail("the template has {} bytes, at most {} are read", source.size(), kMaxSourceBytes);
  }
  return Lexer(source).read();
}

}  // namespace initrt::jinja
