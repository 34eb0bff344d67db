#include "runtime/text/jinja/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/text/characters.h"
#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

constexpr std::size_t kMaxWidth = 1u << 16;

/// [[fill]align][sign][0][width][,][.precision][type]
struct Specification {
  std::string fill = " ";
  char align = 0;  ///< '<', '>', '^', '='; 0: as the type has it
  char sign = '-';
  std::size_t width = 0;
  bool commas = false;
  std::optional<std::size_t> precision;
  char type = 0;
};

std::optional<std::size_t> read_number(std::string_view& text) {
  std::size_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (rest == text.data()) return std::nullopt;
  if (error != std::errc() || number > kMaxWidth) {
    fail("a format has a width of more than {}", kMaxWidth);
  }
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

Specification read_specification(std::string_view text) {
  constexpr std::string_view kAligns = "<>^=";
  const std::string_view whole = text;
  Specification read;
  if (!text.empty()) {
    const std::string_view first = first_character(text);
    const std::string_view after = text.substr(first.size());
    if (!after.empty() && kAligns.find(after[0]) != std::string_view::npos) {
      read.fill = first;
      read.align = after[0];
      text = after.substr(1);
    } else if (kAligns.find(text[0]) != std::string_view::npos) {
      read.align = text[0];
      text.remove_prefix(1);
    }
  }
  for (const char sign : {'+', '-', ' '}) {
    if (take(text, sign)) read.sign = sign;
  }
  if (text.starts_with('0')) {
    if (read.align == 0) read.align = '=', read.fill = "0";
    text.remove_prefix(1);
  }
  read.width = read_number(text).value_or(0);
  read.commas = take(text, ',');
  if (take(text, '.')) read.precision = read_number(text);
  if (text.size() == 1) read.type = text[0];
  if (text.size() > 1) fail("Invalid format specifier '{}'", whole);
  return read;
}

std::string padded(const std::string& sign, const std::string& body, const Specification& how,
                   char align) {
  const std::size_t length = count_code_points(sign) + count_code_points(body);
  const std::size_t missing = how.width - std::min(how.width, length);
  const std::size_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  std::string text;
  const auto pad = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) text += how.fill;
  };
  if (align == '=') {
    text = sign;
    pad(missing);
    return text + body;
  }
  pad(left);
  text += sign + body;
  pad(missing - left);
  return text;
}

void add_commas(std::string& digits) {
  const std::size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (std::size_t at = end; at > 3; at -= 3) digits.insert(at - 3, ",");
}

std::string digits_of(double number, const Specification& how) {
  const int precision = static_cast<int>(how.precision.value_or(6));
  if (how.type == 0 && !how.precision) return float_text(number);
  switch (how.type) {
    case 'e':
      return fmt::format("{:.{}e}", number, precision);
    case 0:
    case 'g':
      return fmt::format("{:.{}g}", number, precision);
    case '%':
      return fmt::format("{:.{}f}%", number * 100, precision);
    default:
      return fmt::format("{:.{}f}", number, precision);
  }
}

std::string formatted_number(const Value& value, const Specification& how) {
  const auto whole = as_int(value);
  constexpr std::string_view kOfFloats = "efgF%";
  const bool as_whole =
      whole && (how.type == 0 || kOfFloats.find(how.type) == std::string_view::npos);
  const bool negative = as_whole ? *whole < 0 : std::signbit(*as_float(value));
  std::string digits;
  if (as_whole) {
    const auto size =
        negative ? 0 - static_cast<std::uint64_t>(*whole) : static_cast<std::uint64_t>(*whole);
    switch (how.type) {
      case 0:
      case 'd':
      case 'i':
        digits = fmt::format("{}", size);
        break;
      case 'x':
        digits = fmt::format("{:x}", size);
        break;
      case 'X':
        digits = fmt::format("{:X}", size);
        break;
      case 'o':
        digits = fmt::format("{:o}", size);
        break;
      case 'b':
        digits = fmt::format("{:b}", size);
        break;
      default:
        fail("Unknown format code '{}' for object of type 'int'", how.type);
    }
  } else {
    if (how.type != 0 && kOfFloats.find(how.type) == std::string_view::npos) {
      fail("Unknown format code '{}' for object of type 'float'", how.type);
    }
    digits = digits_of(std::abs(*as_float(value)), how);
  }
  if (how.commas) add_commas(digits);
  const std::string sign = negative ? "-" : how.sign == '-' ? "" : std::string(1, how.sign);
  return padded(sign, digits, how, how.align == 0 ? '>' : how.align);
}

std::string formatted(Heap& heap, const Value& value, std::string_view specification) {
  if (specification.empty()) return to_text(heap, value);
  const Specification how = read_specification(specification);
  if (as_float(value) && how.type != 's') return formatted_number(value, how);
  if (how.type != 0 && how.type != 's') {
    fail("Unknown format code '{}' for object of type '{}'", how.type, type_name(value));
  }
  std::string text = to_text(heap, value);
  if (how.precision) text.resize(byte_of_code_point(text, count_code_points(text), *how.precision));
  return padded("", text, how, how.align == 0 || how.align == '=' ? '<' : how.align);
}

class Formatter {
 public:
  Formatter(Heap& heap, const Arguments& arguments)
      : heap_(heap), arguments_(arguments), out_(heap) {}

  std::string format(std::string_view text) {
    while (!text.empty()) {
      const std::size_t brace = std::min(text.find_first_of("{}"), text.size());
      out_ += text.substr(0, brace);
      text.remove_prefix(brace);
      if (text.starts_with("{{") || text.starts_with("}}")) {
        out_ += text.substr(0, 1);
        text.remove_prefix(2);
      } else if (!text.empty()) {
        const std::size_t end = text.find('}');
        if (text[0] == '}' || end == std::string_view::npos) {
          fail("Single '{}' encountered in format string", text[0]);
        }
        field(text.substr(1, end - 1));
        text.remove_prefix(end + 1);
      }
    }
    return out_.take();
  }

 private:
  void field(std::string_view field) {
    const std::size_t colon = std::min(field.find(':'), field.size());
    std::string_view name = field.substr(0, colon);
    const std::string_view how = colon < field.size() ? field.substr(colon + 1) : "";
    const bool repr = name.ends_with("!r");
    if (repr || name.ends_with("!s")) name.remove_suffix(2);
    const Value& value = named(name);
    out_ += repr ? formatted(heap_, heap_.text(to_repr(heap_, value)), how)
                 : formatted(heap_, value, how);
  }

  const Value& named(std::string_view name) {
    std::string_view rest = name;
    const auto number = name.empty() ? std::optional(next_++) : read_number(rest);
    if (number && rest.empty()) {
      if (*number < arguments_.positional.size()) return arguments_.positional[*number];
      fail("Replacement index {} out of range for positional args tuple", *number);
    }
    for (const auto& [known, value] : arguments_.named) {
      if (known == name) return value;
    }
    fail("format: no argument '{}'", name);
  }

  Heap& heap_;
  const Arguments& arguments_;
  Output out_;
  std::size_t next_ = 0;
};

}  // namespace

std::string format_text(Heap& heap, std::string_view text, const Arguments& arguments) {
  return Formatter(heap, arguments).format(text);
}

Value percent_format(Heap& heap, const TextObject& text, const Value& values) {
  const List* tuple = values.get<List>();
  if (tuple != nullptr && (*tuple)->flavour != Flavour::Tuple) tuple = nullptr;
  Output out(heap);
  std::size_t next = 0;
  std::string_view rest = text.text;
  for (std::size_t sign = 0; (sign = rest.find('%')) != std::string_view::npos;) {
    out += rest.substr(0, sign);
    rest.remove_prefix(sign + 1);
    if (take(rest, '%')) {
      out += "%";
      continue;
    }
    Value value;
    if (take(rest, '(')) {
      const std::size_t end = std::min(rest.find(')'), rest.size());
      const Dict* dict = values.get<Dict>();
      const Value* found = dict == nullptr ? nullptr : (*dict)->find(rest.substr(0, end));
      if (found == nullptr) fail("%: no value '{}'", rest.substr(0, end));
      value = *found;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    } else {
      if (next >= (tuple == nullptr ? 1 : (*tuple)->items.size())) {
        fail("not enough arguments for format string");
      }
      value = tuple == nullptr ? values : (*tuple)->items[next];
      ++next;
    }
    const std::size_t type = rest.find_first_not_of("0123456789.-+ ");
    if (type == std::string_view::npos) fail("incomplete format");
    std::string how(rest.substr(0, type));
    if (how.starts_with('-')) how[0] = '<';
    const char letter = rest[type];
    rest.remove_prefix(type + 1);
    if (letter == 'r') {
      out += formatted(heap, heap.text(to_repr(heap, value)), how);
    } else if (letter == 's') {
      if (!how.starts_with('<') && !how.starts_with('.') && !how.empty()) how = ">" + how;
      out += formatted(heap, heap.text(to_text(heap, value)), how);
    } else {
      if (!as_float(value)) fail("%{} format: a number is required", letter);
      if ((letter == 'd' || letter == 'i') && value.is<double>()) {
        if (!(std::abs(value.as<double>()) < 9e18)) fail("%d format: an int beyond 64 bits");
        value = static_cast<std::int64_t>(value.as<double>());
      }
      out += formatted(heap, value, how + (letter == 'i' ? 'd' : letter));
    }
  }
  if (tuple != nullptr && next < (*tuple)->items.size()) {
    fail("not all arguments converted during string formatting");
  }
  out += rest;
  return heap.text(out.take(), text.markup);
}

}  // namespace initrt::jinja
