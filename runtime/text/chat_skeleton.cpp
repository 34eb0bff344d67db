// White space around tags: Jinja's documentation, "Whitespace Control".
#include "runtime/text/chat_skeleton.h"

#include <algorithm>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kSpace = " \t\n\r\v\f";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// All line ends as \n, and without the one that ends the file.
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

std::string constant(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

// Adds `text` to an expression, or another operand to a sum; a constant to a constant before it.
void join(std::string& expression, std::string_view text) {
  if (expression.ends_with('\'') && text.starts_with('\'')) {
    expression.pop_back();
    expression += text.substr(1);
    return;
  }
  if (!expression.empty()) expression += '+';
  expression += text;
}

class Reader {
 public:
  explicit Reader(std::string_view source) : source_(with_line_ends(source)) {}

  std::string read() {
    while (at_ < source_.size()) {
      const std::size_t open = next_tag();
      text(open);
      at_ = open;
      if (open < source_.size()) tag(open);
    }
    flush();
    return std::move(skeleton_);
  }

 private:
  [[nodiscard]] std::size_t next_tag() const {
    for (std::size_t i = at_; (i = source_.find('{', i)) != std::string::npos; ++i) {
      const char kind = i + 1 < source_.size() ? source_[i + 1] : ' ';
      if (kind == '{' || kind == '%' || kind == '#') return i;
    }
    return source_.size();
  }

  // What stands before the tag at `open`.
  void text(std::size_t open) {
    std::string_view text = std::string_view(source_).substr(at_, open - at_);
    const char kind = open + 1 < source_.size() ? source_[open + 1] : '{';
    const char sign = open + 2 < source_.size() ? source_[open + 2] : ' ';
    if (kind != '{' || sign == '-') {
      const std::size_t last = text.find_last_not_of(sign == '-' ? kSpace : " \t\r\v\f");
      const std::size_t end = last == std::string_view::npos ? 0 : last + 1;
      const bool starts_line = end == 0 ? line_starts_ : text[end - 1] == '\n';
      if (sign == '-' || (sign != '+' && starts_line)) text = text.substr(0, end);
    }
    if (!text.empty()) join(output_, constant(text));
  }

  void tag(std::size_t open) {
    const char kind = source_[open + 1];
    at_ = open + 2;
    if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) ++at_;
    std::string inside;
    const char closing = kind == '{' ? '}' : kind;
    while (!closes(closing)) {
      if (at_ >= source_.size()) fail("the tag at byte {} is not closed", open);
      if (kind == '#') {
        ++at_;
      } else {
        element(inside);
      }
    }
    close(kind);
    if (kind == '{' && !inside.empty()) join(output_, inside);
    if (kind != '%') return;
    flush();
    skeleton_.append("{%").append(inside).append("%}");
  }

  // Whether the tag ends here, with its sign.
  [[nodiscard]] bool closes(char closing) const {
    const std::string_view rest = std::string_view(source_).substr(at_);
    const std::size_t sign = rest.starts_with('-') || (rest.starts_with('+') && closing != '}');
    return rest.size() >= sign + 2 && rest[sign] == closing && rest[sign + 1] == '}';
  }

  void close(char kind) {
    const char sign = source_[at_];
    at_ = source_.find('}', at_) + 1 + (kind == '{' ? 1 : 0);
    if (sign == '-') {
      const std::size_t begin = at_;
      at_ = std::min(source_.find_first_not_of(kSpace, at_), source_.size());
      line_starts_ = at_ > begin && source_[at_ - 1] == '\n';
    } else {
      line_starts_ = kind != '{' && sign != '+' && at_ < source_.size() && source_[at_] == '\n';
      if (line_starts_) ++at_;
    }
  }

  // One string, word or sign of a tag.
  void element(std::string& inside) {
    const char c = source_[at_];
    if (c == '\'' || c == '"') {
      const std::string text = string();
      if (inside.ends_with("'+")) inside.pop_back();
      if (inside.ends_with('\'')) {
        join(inside, text);
      } else {
        inside += text;
      }
    } else if (kSpace.find(c) != std::string_view::npos) {
      at_ = std::min(source_.find_first_not_of(kSpace, at_), source_.size());
      const bool words = !inside.empty() && is_word(inside.back()) && at_ < source_.size() &&
                         is_word(source_[at_]);
      if (words) inside += ' ';
    } else if (!member(inside)) {
      inside += c == '~' ? '+' : c;
      ++at_;
    }
  }

  // The member names and the method that have another spelling.
  bool member(std::string& inside) {
    struct Spelling {
      std::string_view from, to;
    };
    constexpr Spelling kSpellings[] = {
        {".strip()", "|trim"}, {".role", "['role']"}, {".content", "['content']"}};
    const std::string_view rest = std::string_view(source_).substr(at_);
    for (const auto& [from, to] : kSpellings) {
      if (!rest.starts_with(from)) continue;
      if (from.back() != ')' && rest.size() > from.size() && is_word(rest[from.size()])) continue;
      inside += to;
      at_ += from.size();
      return true;
    }
    return false;
  }

  std::string string() {
    const std::size_t open = at_;
    const char quote = source_[at_++];
    std::string text;
    while (at_ < source_.size() && source_[at_] != quote) {
      char c = source_[at_++];
      if (c == '\\' && at_ < source_.size()) {
        constexpr std::string_view kEscapes = "nrt'\"\\", kMeant = "\n\r\t'\"\\";
        const std::size_t escape = kEscapes.find(source_[at_]);
        if (escape != std::string_view::npos) {
          c = kMeant[escape];
          ++at_;
        }
      }
      text += c;
    }
    if (at_ >= source_.size()) fail("the string at byte {} is not closed", open);
    ++at_;
    return constant(text);
  }

  void flush() {
    if (!output_.empty()) skeleton_.append("{{").append(output_).append("}}");
    output_.clear();
  }

  std::string source_;
  std::size_t at_ = 0;
  bool line_starts_ = true;  ///< whether a line begins where the last tag ended
  std::string output_;       ///< what is written since the last statement
  std::string skeleton_;
};

}  // namespace

std::string skeleton_of(std::string_view source) { return Reader(source).read(); }

std::string unescaped(std::string_view inside) {
  std::string text;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (inside[i] == '\\' && i + 1 < inside.size()) ++i;
    text += inside[i];
  }
  return text;
}

}  // namespace initrt
