// Filters of texts.
#include <array>

#include "runtime/text/characters.h"
#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/format.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/texts.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

template <std::string (*Change)(std::string_view)>
Value changed(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "a filter of texts");
  return machine.heap.text(Change(to_text(machine.heap, input)));
}

// Each word, where str.title() takes apostrophes for the end of one.
std::string titled(std::string_view text) {
  std::string title;
  bool first = true;
  while (!text.empty()) {
    const std::string_view character = first_character(text);
    text.remove_prefix(character.size());
    title += first ? to_upper(character) : to_lower(character);
    first = is_space(decode(character)) ||
            std::string_view("-({[<").find(character) != std::string_view::npos;
  }
  return title;
}

Value do_trim(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [chars] = bind<1>(arguments, "trim", {"chars"});
  const std::string text = to_text(machine.heap, input);
  const Text* own = input.get<Text>();
  const bool markup = own != nullptr && (*own)->markup;
  if (!chars || chars->is<None>()) {
    return machine.heap.text(std::string(strip_spaces(text)), markup);
  }
  const std::string set = string_of(chars, "chars", "");
  return machine.heap.text(
      std::string(strip(text, true, true,
                        [&](std::string_view c) { return set.find(c) != std::string::npos; })),
      markup);
}

Value do_string(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "string");
  return input.is<Text>() ? input : machine.heap.text(to_text(machine.heap, input));
}

Value do_safe(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "safe");
  return machine.heap.text(to_text(machine.heap, input), true);
}

Value do_escape(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "escape");
  const Text* text = input.get<Text>();
  if (text != nullptr && (*text)->markup) return input;
  return machine.heap.text(escaped_html(to_text(machine.heap, input)), true);
}

Value do_replace(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [old, replacement, count] = bind<3>(arguments, "replace", {"old", "new", "count"});
  Heap& heap = machine.heap;
  const std::int64_t most = count && count->is<None>() ? -1 : int_of(count, "count", -1);
  return heap.text(replaced(heap, to_text(heap, input), to_text(heap, given(old, "old")),
                            to_text(heap, given(replacement, "new")), most));
}

Value do_indent(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [width, first, blank] = bind<3>(arguments, "indent", {"width", "first", "blank"});
  Heap& heap = machine.heap;
  std::string indent;
  if (width && width->is<Text>()) {
    indent = width->as<Text>()->text;
  } else {
    const auto spaces = std::max<std::int64_t>(int_of(width, "width", 4), 0);
    heap.expect_room(static_cast<std::size_t>(spaces));
    indent.assign(static_cast<std::size_t>(spaces), ' ');
  }
  const List lines = split_lines(heap, to_text(heap, input) + "\n", false).as<List>();
  Output out(heap);
  if (flag_of(first, false)) out += indent;
  for (std::size_t i = 0; i < lines->items.size(); ++i) {
    const std::string& line = lines->items[i].as<Text>()->text;
    if (i > 0) out += "\n";
    if (i > 0 && (!line.empty() || flag_of(blank, false))) out += indent;
    out += line;
  }
  return heap.text(out.take());
}

Value do_center(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [width] = bind<1>(arguments, "center", {"width"});
  const Value text = machine.heap.text(to_text(machine.heap, input));
  return machine.heap.text(
      justified(machine.heap, *text.as<Text>(), int_of(width, "width", 80), " ", '^'));
}

Value do_truncate(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [length, kill, end, leeway] =
      bind<4>(arguments, "truncate", {"length", "killwords", "end", "leeway"});
  const std::string text = to_text(machine.heap, input), tail = string_of(end, "end", "...");
  const auto most = int_of(length, "length", 255), more = int_of(leeway, "leeway", 5);
  const auto count = static_cast<std::int64_t>(count_code_points(text));
  const auto tail_count = static_cast<std::int64_t>(count_code_points(tail));
  if (most < tail_count) fail("truncate: expected length >= {}, got {}", tail_count, most);
  if (more < 0) fail("truncate: expected leeway >= 0, got {}", more);
  if (count - more <= most) return machine.heap.text(text);
  std::string cut = text.substr(0, byte_of_code_point(text, static_cast<std::size_t>(count),
                                                      static_cast<std::size_t>(most - tail_count)));
  if (!flag_of(kill, false)) cut.resize(std::min(cut.rfind(' '), cut.size()));
  return machine.heap.text(cut + tail);
}

Value do_wordcount(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "wordcount");
  const std::string text = to_text(machine.heap, input);
  std::int64_t words = 0;
  bool inside = false;
  for (std::string_view rest = text; !rest.empty();) {
    const bool is_word = begins_with_word(rest);
    if (is_word && !inside) ++words;
    inside = is_word;
    rest.remove_prefix(first_character(rest).size());
  }
  return words;
}

Value do_format(Machine& machine, const Value& input, const Arguments& arguments) {
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    fail("format: can't handle positional and keyword arguments at the same time");
  }
  Value values = machine.heap.tuple(arguments.positional);
  if (!arguments.named.empty()) {
    std::vector<DictObject::Entry> entries;
    entries.reserve(arguments.named.size());
    for (const auto& [name, value] : arguments.named) {
      entries.emplace_back(machine.heap.text(name), value);
    }
    values = machine.heap.dict(std::move(entries));
  }
  const Value text = machine.heap.text(to_text(machine.heap, input));
  return percent_format(machine.heap, *text.as<Text>(), values);
}

Value do_urlencode(Machine& machine, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "urlencode");
  if (input.is<Dict>() || input.is<List>()) fail("urlencode: only texts are encoded");
  std::string encoded;
  for (const char c : to_text(machine.heap, input)) {
    constexpr std::string_view kPlain = "_.-~/";
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kPlain.find(c) != std::string_view::npos;
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return machine.heap.text(std::move(encoded));
}

Value do_tojson(Machine& machine, const Value& input, const Arguments& arguments) {
  const auto [ascii, indent, separators, sort] =
      bind<4>(arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = flag_of(ascii, false);
  style.sort_keys = flag_of(sort, false);
  if (indent && !indent->is<None>()) {
    constexpr std::int64_t kMaxIndent = 256;
    style.indent = indent->is<Text>()
                       ? indent->as<Text>()->text
                       : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(
                                         int_of(indent, "indent", 0), 0, kMaxIndent)),
                                     ' ');
    style.item_separator = ",";
  }
  if (separators && !separators->is<None>()) {
    const List both = items_of(machine.heap, *separators);
    if (both->items.size() != 2) fail("tojson: separators are two texts");
    style.item_separator = string_of(both->items[0], "separators", "");
    style.key_separator = string_of(both->items[1], "separators", "");
  }
  return machine.heap.text(to_json(machine.heap, input, style));
}

constexpr std::array kFilters = {
    NamedFilter{"upper", changed<to_upper>},
    NamedFilter{"lower", changed<to_lower>},
    NamedFilter{"capitalize", changed<capitalized>},
    NamedFilter{"title", changed<titled>},
    NamedFilter{"trim", do_trim},
    NamedFilter{"string", do_string},
    NamedFilter{"safe", do_safe},
    NamedFilter{"escape", do_escape},
    NamedFilter{"e", do_escape},
    NamedFilter{"replace", do_replace},
    NamedFilter{"indent", do_indent},
    NamedFilter{"center", do_center},
    NamedFilter{"truncate", do_truncate},
    NamedFilter{"wordcount", do_wordcount},
    NamedFilter{"format", do_format},
    NamedFilter{"urlencode", do_urlencode},
    NamedFilter{"tojson", do_tojson},
};

}  // namespace

std::span<const NamedFilter> text_filters() { return kFilters; }

}  // namespace initrt::jinja
