#include "runtime/text/jinja/text_of.h"

#include <charconv>
#include <cmath>

#include "runtime/text/characters.h"
#include "runtime/text/jinja/code_points.h"
#include "sharding/error.h"
#include "sharding/overload.h"

namespace initrt::jinja {
namespace {

void add_escape(Output& out, char32_t c) {
  switch (c) {
    case '\n':
      return out += "\\n";
    case '\r':
      return out += "\\r";
    case '\t':
      return out += "\\t";
    default:
      break;
  }
  out += c < 0x100     ? fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c))
         : c < 0x10000 ? fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c))
                       : fmt::format("\\U{:08x}", static_cast<std::uint32_t>(c));
}

class Writer {
 public:
  explicit Writer(Heap& heap) : heap_(heap), out_(heap) {}

  void text(const Value& value) {
    if (const Text* text = value.get<Text>()) {
      out_ += (*text)->text;
    } else if (!value.is<Undefined>()) {
      repr(value);
    }
  }

  void repr(const Value& value) {
    heap_.step();
    std::visit(Overload{
                   [&](const Undefined&) { out_ += "Undefined"; },
                   [&](None) { out_ += "None"; },
                   [&](bool flag) { out_ += flag ? "True" : "False"; },
                   [&](std::int64_t number) { out_ += std::to_string(number); },
                   [&](double number) { out_ += float_text(number); },
                   [&](const Text& text) { quoted(*text); },
                   [&](const List& list) { sequence(*list); },
                   [&](const Dict& dict) { mapping(*dict); },
                   [&](const Namespace&) { fail("a namespace has no text of its own"); },
                   [&](const Host& host) { fail("a {} has no text of its own", host->type()); },
               },
               value.any());
  }

  std::string take() { return out_.take(); }

 private:
  void quoted(const TextObject& text) {
    const bool single = text.text.find('\'') == std::string::npos;
    const char quote = single || text.text.find('"') != std::string::npos ? '\'' : '"';
    const std::string_view around(&quote, 1);
    if (text.markup) out_ += "Markup(";
    out_ += around;
    for (std::string_view rest = text.text; !rest.empty();) {
      const std::string_view character = first_character(rest);
      rest.remove_prefix(character.size());
      const char32_t c = decode(character);
      if (c == static_cast<char32_t>(quote) || c == '\\') out_ += "\\";
      if (is_printable(c)) {
        out_ += character;
      } else {
        add_escape(out_, c);
      }
    }
    out_ += around;
    if (text.markup) out_ += ")";
  }

  void sequence(const ListObject& list) {
    switch (list.flavour) {
      case Flavour::Range:
        return range(list);
      case Flavour::Generator:
        fail("a generator has no text of its own: the filter \"list\" makes a list of it");
      case Flavour::Tuple:
        items(list, "(", list.items.size() == 1 ? ",)" : ")");
        return;
      case Flavour::Array:
        return items(list, "[", "]");
      case Flavour::Keys:
        return items(list, "dict_keys([", "])");
      case Flavour::Values:
        return items(list, "dict_values([", "])");
      case Flavour::Items:
        return items(list, "dict_items([", "])");
    }
  }

  // Where it ends is lost, which only range(0, 5, 3) and the like show.
  void range(const ListObject& list) {
    if (list.items.empty()) return out_ += "range(0, 0)";
    const auto first = list.items.front().as<std::int64_t>();
    const auto last = list.items.back().as<std::int64_t>();
    const auto step = list.items.size() > 1 ? list.items[1].as<std::int64_t>() - first : 1;
    out_ += fmt::format("range({}, {}", first, last + (step > 0 ? 1 : -1));
    out_ += step == 1 ? ")" : fmt::format(", {})", step);
  }

  void items(const ListObject& list, std::string_view before, std::string_view after) {
    out_ += before;
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_ += ", ";
      repr(list.items[i]);
    }
    out_ += after;
  }

  void mapping(const DictObject& dict) {
    out_ += "{";
    for (std::size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) out_ += ", ";
      repr(dict.entries[i].first);
      out_ += ": ";
      repr(dict.entries[i].second);
    }
    out_ += "}";
  }

  Heap& heap_;
  Output out_;
};

}  // namespace

std::string to_text(Heap& heap, const Value& value) {
  Writer writer(heap);
  writer.text(value);
  return writer.take();
}

std::string to_repr(Heap& heap, const Value& value) {
  Writer writer(heap);
  writer.repr(value);
  return writer.take();
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  // Python has the exponent from 1e16 on and below 1e-4.
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(std::begin(buffer), std::end(buffer), value,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(std::begin(buffer), end.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace initrt::jinja
