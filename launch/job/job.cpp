#include "launch/job/job.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "launch/job/messages.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/error.h"
#include "sharding/overload.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// Where a value was written, for messages and for relative paths.
struct Origin {
  std::string name;       // "configs/smollm2.json" or "--set"
  std::string directory;  // what relative paths are relative to
};

// A value as an error shows it.
std::string shown(const Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    return std::isnan(value.get<double>()) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  }
  constexpr std::size_t kMaxShown = 120;
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > kMaxShown ? text.substr(0, kMaxShown) + "..." : text;
}

[[noreturn]] void refuse(const Origin& origin, const JobKey& key, const Json& value,
                         const std::string& expected) {
  fail("{}: {} is {}, expected {}", origin.name, key.path, shown(value), expected);
}

std::string resolve(const Origin& origin, const std::string& path) {
  return path.starts_with('/') ? path : join_path(origin.directory, path);
}

std::string one_of(const std::vector<std::string_view>& choices) {
  std::string text = "one of";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    text += fmt::format("{} \"{}\"", i == 0 ? "" : ",", choices[i]);
  }
  return text;
}

std::uint64_t whole_number(const Origin& origin, const JobKey& key, const Json& value,
                           std::uint64_t least, std::uint64_t most) {
  const std::string expected = most == std::numeric_limits<std::uint64_t>::max()
                                   ? fmt::format("a whole number of at least {}", least)
                                   : fmt::format("a whole number from {} to {}", least, most);
  if (!value.is_number_unsigned()) refuse(origin, key, value, expected);
  const auto number = value.get<std::uint64_t>();
  if (number < least || number > most) refuse(origin, key, value, expected);
  return number;
}

void assign(Job& job, const JobKey& key, const Json& value, const Origin& origin) {
  const auto text = [&]() -> std::string {
    if (!value.is_string()) refuse(origin, key, value, "a string");
    return value.get<std::string>();
  };
  std::visit(
      Overload{
          [&](const JobKey::Text& kind) {
            const std::string given = text();
            if (!kind.choices.empty() &&
                std::find(kind.choices.begin(), kind.choices.end(), given) == kind.choices.end()) {
              refuse(origin, key, value, one_of(kind.choices));
            }
            kind.field(job) = given;
          },
          [&](const JobKey::Path& kind) {
            if (text().empty()) refuse(origin, key, value, "a path");
            kind.field(job) = resolve(origin, text());
          },
          [&](const JobKey::Whole& kind) {
            kind.field(job) = whole_number(origin, key, value, kind.least, kind.most);
          },
          [&](const JobKey::Bytes& kind) {
            const std::string what = fmt::format("{}: {}", origin.name, key.path);
            std::uint64_t bytes = 0;
            if (value.is_string()) {
              bytes = parse_bytes(value.get_ref<const std::string&>(), what);
            } else if (value.is_number_unsigned()) {
              bytes = value.get<std::uint64_t>();
            } else {
              refuse(origin, key, value, "bytes, such as \"64MiB\" or 67108864");
            }
            if (bytes < kind.least) {
              refuse(origin, key, value, fmt::format("at least {} bytes", kind.least));
            }
            kind.field(job) = bytes;
          },
          [&](const JobKey::Number& kind) {
            const double number = value.is_number() ? value.get<double>() : std::nan("");
            const bool inside = (kind.above_least ? number > kind.least : number >= kind.least) &&
                                number <= kind.most;
            if (!inside) {
              refuse(
                  origin, key, value,
                  fmt::format("a number {} {}, at most {}",
                              kind.above_least ? "above" : "of at least", kind.least, kind.most));
            }
            kind.field(job) = number;
          },
          [&](const JobKey::Flag& kind) {
            if (!value.is_boolean()) refuse(origin, key, value, "true or false");
            kind.field(job) = value.get<bool>();
          },
          [&](const JobKey::TextList& kind) {
            const Json list = value.is_array() ? value : Json::array({value});
            if (!std::all_of(list.begin(), list.end(), [](const Json& one) {
                  return one.is_string() && !one.get_ref<const std::string&>().empty();
                })) {
              refuse(origin, key, value, "a string or a list of strings, none empty");
            }
            kind.field(job) = list.get<std::vector<std::string>>();
          },
          [&](const JobKey::PromptList& kind) {
            Job::Prompts prompts;
            if (value.is_string() && !value.get_ref<const std::string&>().empty()) {
              prompts.path = text() == "-" ? text() : resolve(origin, text());
            } else if (value.is_array() && !value.empty() &&
                       std::all_of(value.begin(), value.end(),
                                   [](const Json& prompt) { return prompt.is_string(); })) {
              prompts.texts = value.get<std::vector<std::string>>();
            } else {
              refuse(origin, key, value, "a list of strings or the path of a JSONL file");
            }
            kind.field(job) = std::move(prompts);
          },
          [&](const JobKey::MessageList& kind) {
            kind.field(job) = read_messages(value, fmt::format("{}: {}", origin.name, key.path));
          },
          [&](const JobKey::ToolList& kind) {
            kind.field(job) = read_tools(value, fmt::format("{}: {}", origin.name, key.path));
          },
          [&](const JobKey::Object& kind) {
            if (!value.is_object()) refuse(origin, key, value, "an object");
            kind.field(job) = value;
          },
      },
      key.kind);
}

const JobKey* find_key(std::string_view path) {
  const auto keys = job_keys();
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const JobKey& key) { return key.path == path; });
  return found == keys.end() ? nullptr : &*found;
}

bool is_group(std::string_view path) {
  const std::string prefix = std::string(path) + ".";
  const auto keys = job_keys();
  return std::any_of(keys.begin(), keys.end(),
                     [&](const JobKey& key) { return key.path.starts_with(prefix); });
}

// Among all keys by their whole path, and for a key put into the wrong place by its last part.
[[noreturn]] void unknown_key(const Origin& origin, const std::string& path) {
  std::vector<std::string> valid;
  for (const JobKey& key : job_keys()) valid.emplace_back(key.path);
  std::string near = nearest(path, valid);
  const std::string last = path.substr(path.rfind('.') + 1);
  for (std::size_t i = 0; near.empty() && i < valid.size(); ++i) {
    const std::string other = valid[i].substr(valid[i].rfind('.') + 1);
    if (!nearest(last, std::span(&other, 1)).empty()) near = valid[i];
  }
  fail("{}: unknown key {}{}", origin.name, quote(path),
       near.empty() ? "" : fmt::format(", did you mean \"{}\"?", near));
}

void assign_object(Job& job, const Json& object, const std::string& prefix, const Origin& origin) {
  for (const auto& [name, value] : object.items()) {
    const std::string path = prefix + name;
    if (path == "$schema") continue;
    if (const JobKey* key = find_key(path)) {
      assign(job, *key, value, origin);
    } else if (is_group(path)) {
      if (const JobKey* key_of_group = short_key(path);
          key_of_group != nullptr && !value.is_object()) {
        assign(job, *key_of_group, value, origin);
        continue;
      }
      if (!value.is_object()) fail("{}: {} is not an object of keys", origin.name, quote(path));
      assign_object(job, value, path + ".", origin);
    } else {
      unknown_key(origin, path);
    }
  }
}

// `text` as JSON where the key takes it so, else as a plain string: --set generate.prompt=Hello
// and --set generate.prompt='"Hello"' are the same.
Json setting_value(const JobKey& key, const std::string& text) {
  Json parsed = Json::parse(text, nullptr, false);
  const bool list = std::holds_alternative<JobKey::TextList>(key.kind);
  const bool messages = std::holds_alternative<JobKey::MessageList>(key.kind) ||
                        std::holds_alternative<JobKey::ToolList>(key.kind);
  const bool object = std::holds_alternative<JobKey::Object>(key.kind);
  const bool wants_text = std::holds_alternative<JobKey::Text>(key.kind) ||
                          std::holds_alternative<JobKey::Path>(key.kind) ||
                          (list && !parsed.is_array());
  if (parsed.is_discarded() &&
      (list || messages || std::holds_alternative<JobKey::PromptList>(key.kind)) &&
      text.starts_with('[')) {
    fail("--set {}: {} is no JSON list", key.path, quote(text));
  }
  if (parsed.is_discarded() && object && text.starts_with('{')) {
    fail("--set {}: {} is no JSON object", key.path, quote(text));
  }
  if (parsed.is_discarded() || (wants_text && !parsed.is_string())) return text;
  return parsed;
}

void assign_setting(Job& job, const std::string& setting) {
  const Origin origin{"--set", ""};
  const std::size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail("--set {}: expected key=value, such as generate.seed=7", quote(setting));
  }
  const std::string path = setting.substr(0, equals);
  const JobKey* key = find_key(path);
  if (key == nullptr) key = short_key(path);
  const Json group = Json::parse(setting.substr(equals + 1), nullptr, false);
  if (key != nullptr && key->path != path && group.is_object()) {
    assign_object(job, group, path + ".", origin);
    return;
  }
  if (key == nullptr) {
    if (is_group(path)) fail("--set {}: this is a group; set one of its keys", quote(setting));
    unknown_key(origin, path);
  }
  assign(job, *key, setting_value(*key, setting.substr(equals + 1)), origin);
}

}  // namespace

std::string holding_text(const std::string& precision, const std::string& quantize) {
  return quantize == "none" ? precision : quantize + " in " + precision;
}

const JobKey* short_key(std::string_view group) { return find_key(std::string(group) + ".method"); }

std::uint64_t parse_bytes(std::string_view text, std::string_view what) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  struct ByteUnit {
    std::string_view name;
    double bytes;
  };
  constexpr double kKi = 1024.0;
  constexpr ByteUnit kUnits[] = {{"", 1},
                                 {"B", 1},
                                 {"K", kKi},
                                 {"KiB", kKi},
                                 {"KB", 1e3},
                                 {"M", kKi * kKi},
                                 {"MiB", kKi * kKi},
                                 {"MB", 1e6},
                                 {"G", kKi * kKi * kKi},
                                 {"GiB", kKi * kKi * kKi},
                                 {"GB", 1e9},
                                 {"T", kKi * kKi * kKi * kKi},
                                 {"TiB", kKi * kKi * kKi * kKi},
                                 {"TB", 1e12}};
  const auto* found = std::find_if(std::begin(kUnits), std::end(kUnits),
                                   [&](const ByteUnit& known) { return known.name == unit; });
  const double bytes = found == std::end(kUnits) ? -1.0 : number * found->bytes;
  if (error != std::errc() || !(bytes >= 0.0) || bytes >= 9.2e18) {
    fail("{} is {}, expected bytes, such as \"64MiB\" or \"1.5GB\"", what, quote(text));
  }
  return static_cast<std::uint64_t>(bytes);
}

void set_key(Job& job, std::string_view path, const Json& value, const std::string& name) {
  assign(job, *find_key(path), value, {name, ""});
}

Job read_job(Files& files, const std::string& path, std::span<const std::string> settings) {
  Job job;
  if (!path.empty()) {
    const bool stream = is_stream(files, path);
    const std::string name = is_standard_input(path) ? "standard input" : path;
    const Json object = parse_ordered_json(files.read_input(path), name);
    if (!object.is_object()) {
      fail("{}: expected a JSON object, found {}", name, object.type_name());
    }
    // A pipe is in no directory: then as of --set.
    assign_object(job, object, "", {name, stream ? "" : directory_of(path)});
  }
  for (const std::string& setting : settings) assign_setting(job, setting);
  if (job.model.path.empty()) {
    fail("{}no model: set \"model\" to a checkpoint's file or directory",
         path.empty() ? "" : path + ": ");
  }
  return job;
}

}  // namespace initrt
