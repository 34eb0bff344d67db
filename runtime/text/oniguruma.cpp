// The translation, from left to right, an element at a time.
#include "runtime/text/oniguruma.h"

#include <cctype>

#include "runtime/text/character_classes.h"
#include "runtime/text/json_node.h"
#include "sharding/error.h"

namespace initrt {
namespace {

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// What \W, \b or \B matches.
std::string word_assertion(char letter) {
  const std::string word = fmt::format("[{}]", word_set());
  switch (letter) {
    case 'b':
      return fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word);
    case 'B':
      return fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word);
    default:
      return fmt::format("[^{}]", word_set());
  }
}

class Translation {
 public:
  Translation(std::string_view pattern, std::string_view where)
      : pattern_(pattern), where_(where) {}

  std::string run() {
    while (!rest().empty()) {
      if (sets_ == 0) {
        if (const std::size_t bytes = interval_before_plus(); bytes > 0) {
          repeat_interval(bytes);
          continue;
        }
        atom_ = rest().starts_with(')') ? std::string::npos : out_.size();
      }
      if (pattern_[at_] == '\\') {
        escape();
      } else if (sets_ > 0) {
        set_character();
      } else if (pattern_[at_] == '[') {
        begin_set();
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
    } else if (letter == 'd' || letter == 'D') {
      property("Nd", letter == 'D', 2);
    } else if (letter == 'w') {
      out_ += sets_ == 0 ? fmt::format("[{}]", word_set()) : word_set();
      at_ += 2;
    } else if (sets_ == 0 && (letter == 'W' || letter == 'b' || letter == 'B')) {
      out_ += word_assertion(letter);
      at_ += 2;
    } else if (rest().starts_with("\\p{") || rest().starts_with("\\P{")) {
      const std::size_t end = rest().find('}');
      if (end == std::string_view::npos) unsupported("a property without an end");
      property(rest().substr(3, end - 3), letter == 'P', end + 1);
    } else if (std::string_view("rntx").find(letter) != std::string_view::npos ||
               !std::isalnum(static_cast<unsigned char>(letter))) {
      copy(2);
    } else {
      unsupported(fmt::format("\\{}", letter));
    }
  }

  /// A Unicode property that the next `bytes` bytes ask for.
  void property(std::string_view name, bool negated, std::size_t bytes) {
    for (const char c : name) {
      if (!is_letter(c) && c != '_') unsupported("such a property");
    }
    if (sets_ == 0) {
      out_ += fmt::format("[{}{}]", negated ? "^" : "", property_set(name));
    } else {
      out_ += negated ? fmt::format("\\P{{{}}}", name) : property_set(name);
    }
    at_ += bytes;
  }

  void begin_set() {
    sets_ = 1;
    copy(1);
    if (rest().starts_with('^')) copy(1);
    if (rest().starts_with(']')) copy(1);
  }

  void set_character() {
    if (rest().starts_with("&&")) unsupported("an intersection of sets");
    if (rest().starts_with("[^") || rest().starts_with("[:") || rest().starts_with("[]")) {
      unsupported("such a set inside a set");
    }
    if (rest().starts_with('[')) {  // what is in it is in the set around it
      ++sets_;
      ++at_;
    } else if (rest().starts_with(']')) {
      if (--sets_ == 0) return copy(1);
      ++at_;
    } else {
      copy(1);
    }
  }

  /// The bytes of an interval such as {1,3} with a + behind it: a repetition of a repetition in
  /// Ruby, a possessive one in PCRE2. 0 where there is none.
  [[nodiscard]] std::size_t interval_before_plus() const {
    if (!rest().starts_with('{')) return 0;
    const std::size_t end = rest().find_first_not_of("0123456789,", 1);
    return end != std::string_view::npos && rest().substr(end).starts_with("}+") ? end + 1 : 0;
  }

  void repeat_interval(std::size_t bytes) {
    if (atom_ == std::string::npos) unsupported("a + behind an interval of a group");
    out_.insert(atom_, "(?:");
    copy(bytes);
    out_ += ")";
    copy(1);
    atom_ = std::string::npos;
  }

  /// Ruby's option m is PCRE2's s, and it has options that PCRE2 has not.
  void check_group() const {
    const std::string_view inside = rest().substr(2);
    for (const char c : inside) {
      if (!is_letter(c) && c != '-') break;
      if (c != 'i' && c != 'x' && c != '-') unsupported(fmt::format("option \"{}\"", c));
    }
  }

  std::string_view pattern_, where_;
  std::size_t at_ = 0;
  int sets_ = 0;  ///< sets that are open, one inside the other
  std::string out_;
  std::size_t atom_ = std::string::npos;  ///< in out_: what the next quantifier repeats
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view pattern, std::string_view where) {
  return Translation(pattern, where).run();
}

}  // namespace initrt
