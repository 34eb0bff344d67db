#include "runtime/text/jinja/template.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/text/jinja/parser.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

using Json = nlohmann::ordered_json;

Value value_of(Heap& heap, const Json& json, int depth = 0) {
  if (depth > kMaxValueDepth) fail("values are nested more than {} deep", kMaxValueDepth);
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<std::int64_t>();
    case Json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
        fail("the number {} is beyond 64 bits with a sign", json.dump());
      }
      return json.get<std::int64_t>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return heap.text(to_valid_utf8(json.get_ref<const std::string&>()));
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(value_of(heap, item, depth + 1));
      return heap.list(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<DictObject::Entry> entries;
      for (const auto& [key, value] : json.items()) {
        entries.emplace_back(heap.text(to_valid_utf8(key)), value_of(heap, value, depth + 1));
      }
      return heap.dict(std::move(entries));
    }
    default:
      return None{};
  }
}

// An error may quote what the template calls its names.
[[noreturn]] void fail_on_one_line(std::string_view text) {
  constexpr std::size_t kMost = 400;
  const std::string shown = one_line(to_valid_utf8(text.substr(0, kMost)));
  fail("{}{}", shown, text.size() > kMost ? "..." : "");
}

std::unique_ptr<const Body> parsed(std::string_view source) {
  try {
    return std::make_unique<const Body>(Parser(tokens_of(to_valid_utf8(source))).parse());
  } catch (const Error& error) {
    fail_on_one_line(error.what());
  }
}

}  // namespace

Template::Template(std::string_view source) : body_(parsed(source)) {}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

std::string Template::render(const Json& variables, const std::optional<std::tm>& now,
                             const Limits& limits) const {
  Machine machine(limits, now);
  try {
    const auto globals = std::make_shared<Scope>(nullptr);
    add_globals(machine, *globals);
    for (const auto& [name, value] : variables.items()) {
      globals->set(name, value_of(machine.heap, value));
    }
    const Descent descent(machine, body_->depth);
    Output out(machine.heap);
    Frame frame{machine, std::make_shared<Scope>(globals), out};
    body_->run(frame);
    return out.take();
  } catch (const Error& error) {
    fail_on_one_line(fmt::format("line {}: {}", machine.line, error.what()));
  }
}

}  // namespace initrt::jinja
