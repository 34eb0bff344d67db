// Values as JSON, byte for byte as Python's json module writes them.
#include <algorithm>
#include <cmath>

#include "runtime/text/characters.h"
#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/text_of.h"
#include "sharding/error.h"
#include "sharding/overload.h"

namespace initrt::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Heap& heap, const JsonStyle& style) : heap_(heap), style_(style), out_(heap) {}

  void value(const Value& value) {
    heap_.step();
    std::visit(Overload{
                   [&](None) { out_ += "null"; },
                   [&](bool flag) { out_ += flag ? "true" : "false"; },
                   [&](std::int64_t number) { out_ += std::to_string(number); },
                   [&](double number) { out_ += number_text(number); },
                   [&](const Text& text) { quoted(text->text); },
                   [&](const List& list) { array(*list); },
                   [&](const Dict& dict) { object(*dict); },
                   [&](const auto&) { refuse(value); },
               },
               value.any());
  }

  std::string take() { return out_.take(); }

 private:
  [[noreturn]] static void refuse(const Value& value) {
    fail("tojson: Object of type {} is not JSON serializable", type_name(value));
  }

  static std::string number_text(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return float_text(number);
  }

  void quoted(std::string_view text) {
    out_ += "\"";
    std::size_t plain = 0;  // what is not written yet
    for (std::size_t at = 0; at < text.size();) {
      const auto byte = static_cast<unsigned char>(text[at]);
      const bool is_plain = byte >= 0x20 && byte != '"' && byte != '\\' &&
                            (byte < 0x7F || !style_.ensure_ascii || byte == 0x7F);
      if (is_plain) {
        ++at;
        continue;
      }
      out_ += text.substr(plain, at - plain);
      const std::string_view character = first_character(text.substr(at));
      escaped(decode(character));
      plain = at += character.size();
    }
    out_ += text.substr(plain);
    out_ += "\"";
  }

  void escaped(char32_t c) {
    constexpr std::string_view kShort = "\"\\\n\r\t\f\b", kLetters = "\"\\nrtfb";
    const std::size_t known = c < 0x80 ? kShort.find(static_cast<char>(c)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out_ += std::string("\\") + kLetters[known];
    } else if (c < 0x10000) {
      out_ += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
    } else {
      const auto rest = static_cast<std::uint32_t>(c) - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    }
  }

  void line() {
    if (!style_.indent) return;
    out_ += "\n";
    for (int level = 0; level < level_; ++level) out_ += *style_.indent;
  }

  // `each(i)` writes member i of `count`.
  template <class Each>
  void members(std::string_view before, std::size_t count, std::string_view after,
               const Each& each) {
    out_ += before;
    if (count > 0) {
      ++level_;
      for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) out_ += style_.item_separator;
        line();
        each(i);
      }
      --level_;
      line();
    }
    out_ += after;
  }

  void array(const ListObject& list) {
    if (list.flavour != Flavour::Array && list.flavour != Flavour::Tuple) {
      fail("tojson: Object of type {} is not JSON serializable: the filter \"list\" makes a list",
           type_name(std::shared_ptr<const ListObject>(&list, [](const ListObject*) {})));
    }
    members("[", list.items.size(), "]", [&](std::size_t i) { value(list.items[i]); });
  }

  // A key as JSON has it: text.
  std::string key_of(const Value& key) {
    if (const Text* text = key.get<Text>()) return (*text)->text;
    if (key.is<None>()) return "null";
    if (const bool* flag = key.get<bool>()) return *flag ? "true" : "false";
    if (const double* number = key.get<double>()) return number_text(*number);
    return to_text(heap_, key);
  }

  void object(const DictObject& dict) {
    std::vector<std::size_t> order(dict.entries.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (style_.sort_keys) {
      heap_.step(order.size());
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return key_of(dict.entries[a].first) < key_of(dict.entries[b].first);
      });
    }
    members("{", order.size(), "}", [&](std::size_t i) {
      const auto& [key, of_key] = dict.entries[order[i]];
      quoted(key_of(key));
      out_ += style_.key_separator;
      value(of_key);
    });
  }

  Heap& heap_;
  const JsonStyle& style_;
  Output out_;
  int level_ = 0;
};

}  // namespace

std::string to_json(Heap& heap, const Value& value, const JsonStyle& style) {
  JsonWriter writer(heap, style);
  writer.value(value);
  return writer.take();
}

}  // namespace initrt::jinja
