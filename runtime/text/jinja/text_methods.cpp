// Methods of texts, as those of Python's str.
#include <algorithm>
#include <array>

#include "runtime/text/characters.h"
#include "runtime/text/jinja/attributes.h"
#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/code_points.h"
#include "runtime/text/jinja/format.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/texts.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

using Method = Value (*)(Machine&, const TextObject&, const Arguments&);

Value stripped(Machine& machine, const TextObject& self, const Arguments& arguments, bool left,
               bool right) {
  const auto [chars] = bind<1>(arguments, "strip", {"chars"});
  if (!chars || chars->is<None>()) {
    return machine.heap.text(std::string(strip_spaces(self.text, left, right)), self.markup);
  }
  const std::string set = string_of(chars, "chars", "");
  const auto goes = [&](std::string_view c) { return set.find(c) != std::string::npos; };
  return machine.heap.text(std::string(strip(self.text, left, right, goes)), self.markup);
}

Value do_strip(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return stripped(machine, self, arguments, true, true);
}
Value do_lstrip(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return stripped(machine, self, arguments, true, false);
}
Value do_rstrip(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return stripped(machine, self, arguments, false, true);
}

Value do_split(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [sep, most] = bind<2>(arguments, "split", {"sep", "maxsplit"});
  return split_text(machine.heap, self.text, sep, int_of(most, "maxsplit", -1), false);
}
Value do_rsplit(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [sep, most] = bind<2>(arguments, "rsplit", {"sep", "maxsplit"});
  return split_text(machine.heap, self.text, sep, int_of(most, "maxsplit", -1), true);
}
Value do_splitlines(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [keep] = bind<1>(arguments, "splitlines", {"keepends"});
  return split_lines(machine.heap, self.text, flag_of(keep, false));
}

Value partition(Machine& machine, const TextObject& self, const Arguments& arguments, bool last) {
  const auto [sep] = bind<1>(arguments, "partition", {"sep"});
  const std::string by = string_of(given(sep, "sep"), "sep", "");
  if (by.empty()) fail("empty separator");
  const std::size_t at =
      last ? find_last_text(machine.heap, self.text, by) : find_text(self.text, by);
  Heap& heap = machine.heap;
  if (at == std::string::npos) {
    const Value whole = heap.text(self.text), empty = heap.text("");
    return last ? heap.tuple({empty, empty, whole}) : heap.tuple({whole, empty, empty});
  }
  return heap.tuple({heap.text(self.text.substr(0, at)), heap.text(by),
                     heap.text(self.text.substr(at + by.size()))});
}
Value do_partition(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return partition(machine, self, arguments, false);
}
Value do_rpartition(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return partition(machine, self, arguments, true);
}

// The part of the text that startswith(), find() and the like look at.
std::string_view part_of(const TextObject& self, const std::optional<Value>& start,
                         const std::optional<Value>& end, std::size_t& begin) {
  const auto count = static_cast<std::int64_t>(self.length);
  const auto place = [&](const std::optional<Value>& value, std::int64_t fallback) {
    std::int64_t at = value && !value->is<None>() ? int_of(value, "start", 0) : fallback;
    if (at < 0) at = std::max<std::int64_t>(at + count, 0);
    return byte_of_code_point(self.text, self.length, static_cast<std::size_t>(at));
  };
  begin = place(start, 0);
  const std::size_t stop = place(end, count);
  return std::string_view(self.text).substr(begin, stop > begin ? stop - begin : 0);
}

bool at_end(const TextObject& self, const Arguments& arguments, std::string_view name, bool front) {
  const auto [what, start, end] = bind<3>(arguments, name, {"prefix", "start", "end"});
  std::size_t begin = 0;
  const std::string_view part = part_of(self, start, end, begin);
  const auto fits = [&](const Value& one) {
    const std::string text = string_of(one, "prefix", "");
    return front ? part.starts_with(text) : part.ends_with(text);
  };
  const Value& asked = given(what, "prefix");
  const List* several = asked.get<List>();
  if (several == nullptr) {
    if (asked.is<None>()) fail("{} first arg must be str or a tuple of str, not NoneType", name);
    return fits(asked);
  }
  return std::any_of((*several)->items.begin(), (*several)->items.end(), fits);
}
Value do_startswith(Machine&, const TextObject& self, const Arguments& arguments) {
  return at_end(self, arguments, "startswith", true);
}
Value do_endswith(Machine&, const TextObject& self, const Arguments& arguments) {
  return at_end(self, arguments, "endswith", false);
}

std::optional<std::int64_t> found(Machine& machine, const TextObject& self,
                                  const Arguments& arguments, std::string_view name, bool last) {
  const auto [what, start, end] = bind<3>(arguments, name, {"sub", "start", "end"});
  std::size_t begin = 0;
  const std::string_view part = part_of(self, start, end, begin);
  const std::string text = string_of(given(what, "sub"), "sub", "");
  machine.heap.step(1 + self.text.size() / 64);
  const std::size_t at = last ? find_last_text(machine.heap, part, text) : find_text(part, text);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<std::int64_t>(
      count_code_points(std::string_view(self.text).substr(0, begin + at)));
}
Value do_find(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return found(machine, self, arguments, "find", false).value_or(-1);
}
Value do_rfind(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return found(machine, self, arguments, "rfind", true).value_or(-1);
}
Value do_index(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto at = found(machine, self, arguments, "index", false);
  if (!at) fail("substring not found");
  return *at;
}
Value do_count(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [what] = bind<1>(arguments, "count", {"sub"});
  const std::string text = string_of(given(what, "sub"), "sub", "");
  machine.heap.step(1 + self.text.size() / 64);
  if (text.empty()) return static_cast<std::int64_t>(self.length + 1);
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = find_text(self.text, text, at)) != std::string::npos; ++count) {
    at += text.size();
  }
  return count;
}

Value do_replace(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [old, replacement, count] = bind<3>(arguments, "replace", {"old", "new", "count"});
  return machine.heap.text(
      replaced(machine.heap, self.text, string_of(given(old, "old"), "old", ""),
               string_of(given(replacement, "new"), "new", ""), int_of(count, "count", -1)),
      self.markup);
}

Value do_join(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [list] = bind<1>(arguments, "join", {"iterable"});
  Output out(machine.heap);
  bool first = true;
  const List items = items_of(machine.heap, given(list, "iterable"));
  for (const Value& item : items->items) {
    if (!item.is<Text>()) fail("join(): expected str instance, {} found", type_name(item));
    if (!first) out += self.text;
    first = false;
    out += item.as<Text>()->text;
  }
  return machine.heap.text(out.take());
}

Value do_format(Machine& machine, const TextObject& self, const Arguments& arguments) {
  return machine.heap.text(format_text(machine.heap, self.text, arguments), self.markup);
}

template <std::string (*Change)(std::string_view)>
Value changed(Machine& machine, const TextObject& self, const Arguments& arguments) {
  expect_no_arguments(arguments, "a method of texts");
  return machine.heap.text(Change(self.text), self.markup);
}

// Whether there are characters, and all are of a kind.
template <bool (*Is)(char32_t)>
Value all_are(Machine&, const TextObject& self, const Arguments& arguments) {
  expect_no_arguments(arguments, "a method of texts");
  for (std::string_view rest = self.text; !rest.empty();) {
    const std::string_view character = first_character(rest);
    if (!Is(decode(character))) return false;
    rest.remove_prefix(character.size());
  }
  return !self.text.empty();
}
bool is_letter_or_digit(char32_t c) { return is_letter(c) || is_decimal(c); }

Value do_isupper(Machine&, const TextObject& self, const Arguments& arguments) {
  expect_no_arguments(arguments, "isupper");
  return is_upper_text(self.text);
}
Value do_islower(Machine&, const TextObject& self, const Arguments& arguments) {
  expect_no_arguments(arguments, "islower");
  return is_lower_text(self.text);
}

Value do_removeprefix(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [what] = bind<1>(arguments, "removeprefix", {"prefix"});
  const std::string part = string_of(given(what, "prefix"), "prefix", "");
  const bool has = self.text.starts_with(part);
  return machine.heap.text(self.text.substr(has ? part.size() : 0));
}
Value do_removesuffix(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [what] = bind<1>(arguments, "removesuffix", {"suffix"});
  const std::string part = string_of(given(what, "suffix"), "suffix", "");
  const bool has = self.text.ends_with(part);
  return machine.heap.text(self.text.substr(0, self.text.size() - (has ? part.size() : 0)));
}

template <char Align>
Value do_justify(Machine& machine, const TextObject& self, const Arguments& arguments) {
  const auto [width, fill] = bind<2>(arguments, "justify", {"width", "fillchar"});
  return machine.heap.text(justified(machine.heap, self, int_of(given(width, "width"), "width", 0),
                                     string_of(fill, "fillchar", " "), Align));
}

struct NamedMethod {
  std::string_view name;
  Method method;
};
constexpr std::array kMethods = {
    NamedMethod{"strip", do_strip},
    NamedMethod{"lstrip", do_lstrip},
    NamedMethod{"rstrip", do_rstrip},
    NamedMethod{"split", do_split},
    NamedMethod{"rsplit", do_rsplit},
    NamedMethod{"splitlines", do_splitlines},
    NamedMethod{"partition", do_partition},
    NamedMethod{"rpartition", do_rpartition},
    NamedMethod{"startswith", do_startswith},
    NamedMethod{"endswith", do_endswith},
    NamedMethod{"find", do_find},
    NamedMethod{"rfind", do_rfind},
    NamedMethod{"index", do_index},
    NamedMethod{"count", do_count},
    NamedMethod{"replace", do_replace},
    NamedMethod{"join", do_join},
    NamedMethod{"format", do_format},
    NamedMethod{"upper", changed<to_upper>},
    NamedMethod{"lower", changed<to_lower>},
    NamedMethod{"casefold", changed<to_lower>},
    NamedMethod{"capitalize", changed<capitalized>},
    NamedMethod{"title", changed<title_case>},
    NamedMethod{"isspace", all_are<is_space>},
    NamedMethod{"isalpha", all_are<is_letter>},
    NamedMethod{"isalnum", all_are<is_letter_or_digit>},
    NamedMethod{"isdigit", all_are<is_decimal>},
    NamedMethod{"isdecimal", all_are<is_decimal>},
    NamedMethod{"isnumeric", all_are<is_decimal>},
    NamedMethod{"isupper", do_isupper},
    NamedMethod{"islower", do_islower},
    NamedMethod{"removeprefix", do_removeprefix},
    NamedMethod{"removesuffix", do_removesuffix},
    NamedMethod{"center", do_justify<'^'>},
    NamedMethod{"ljust", do_justify<'<'>},
    NamedMethod{"rjust", do_justify<'>'>},
};

}  // namespace

std::optional<Value> text_method(const Text& self, std::string_view name) {
  const auto* found = std::find_if(kMethods.begin(), kMethods.end(),
                                   [&](const NamedMethod& known) { return known.name == name; });
  if (found == kMethods.end()) return std::nullopt;
  return native([self, method = found->method](Machine& machine, Arguments& arguments) {
    return method(machine, *self, arguments);
  });
}

}  // namespace initrt::jinja
