// job: config.json -> Job. Every key is in one table (job_keys), which is what reads the file,
// checks --set, writes the schema and names the nearest key in an error.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/machine/machine_options.h"
#include "runtime/start/options.h"
#include "sharding/checkpoint/files.h"

namespace initrt {

/// Most positions or tokens that a job may ask for.
inline constexpr std::uint64_t kMaxPositions = 1u << 30;

/// A job as its file and --set give it: values are of the right type and range, nothing is opened.
struct Job {
  /// Several prompts: given in place, or the path of a JSONL file; "-" for standard input.
  struct Prompts {
    std::vector<std::string> texts;
    std::string path;

    [[nodiscard]] bool empty() const { return texts.empty() && path.empty(); }
  };

  // What the runtime takes; keys of several groups, as job_keys.cpp has them.
  ModelOptions model;
  MachineOptions machine;
  ShapeOptions shape;
  ChatTemplateOptions chat_template;

  std::uint64_t timeout = 300;  ///< seconds without progress of any rank
  std::string strategy = "full_shard";

  struct {
    std::optional<std::string> prompt;  ///< nothing where none is given: an empty one may be meant
    Prompts prompts;
    std::string output;  ///< where result lines go, and what a restart goes on from
    std::string part;    ///< "1/4": the second quarter of the prompts; "": all
    /// A conversation, instead of a prompt: a list of objects.
    nlohmann::ordered_json messages = nlohmann::ordered_json::array();
    bool chat = false;             ///< each prompt is a user's message
    std::string system;            ///< of conversations that begin without a system message
    nlohmann::ordered_json tools;  ///< of conversations: a list of objects, or null
    std::uint64_t max_new_tokens = 50;
    double temperature = 0.0;         ///< 0: greedy
    std::uint64_t top_k = 0;          ///< 0: all
    double top_p = 1.0;               ///< 1: all
    double min_p = 0.0;               ///< 0: all
    double repetition_penalty = 1.0;  ///< 1: none
    std::uint64_t seed = 0;
    bool ignore_eos = false;
    std::vector<std::string> stop;  ///< an answer ends before the first of these in its text
    std::uint64_t logprobs = 0;     ///< likeliest tokens told with each one; 0: no logprobs
  } generate;
};

/// What a job's weights are held in, for a person: "bf16-true", "nf4 in bf16-true".
[[nodiscard]] std::string holding_text(const std::string& precision, const std::string& quantize);

/// One key of a job.
struct JobKey {
  template <class T>
  using Field = T& (*)(Job&);

  /// What kind of value it takes; `Path` is resolved against where it was written.
  struct Text {
    Field<std::string> field;
    std::vector<std::string_view> choices;
  };
  struct Path {
    Field<std::string> field;
  };
  struct Whole {
    Field<std::uint64_t> field;
    std::uint64_t least, most;
  };
  struct Bytes {
    Field<std::uint64_t> field;
    std::uint64_t least;
  };
  struct Number {
    Field<double> field;
    double least, most;
    bool above_least;
  };
  struct Flag {
    Field<bool> field;
  };
  struct TextList {  ///< one text, or a list of them; none empty
    Field<std::vector<std::string>> field;
  };
  struct PromptList {
    Field<Job::Prompts> field;
  };
  struct MessageList {
    Field<nlohmann::ordered_json> field;
  };
  struct ToolList {
    Field<nlohmann::ordered_json> field;
  };
  struct Object {  ///< of any members
    Field<nlohmann::ordered_json> field;
  };

  std::string_view path;  ///< e.g. "sharding.prefetch"
  std::string_view about;
  std::variant<Text, Path, Whole, Bytes, Number, Flag, TextList, PromptList, MessageList, ToolList,
               Object>
      kind;
};

/// All keys, those of a group together.
[[nodiscard]] std::span<const JobKey> job_keys();

/// The key that a group is short for where it is given a plain value: "quantize.method". Null where
/// there is none.
[[nodiscard]] const JobKey* short_key(std::string_view group);

/// Reads a job file and lays `settings` ("key=value", value as JSON or plain text) over it.
/// Relative paths in the file are relative to the file's directory, those in settings to the
/// working directory, and so are those in a file that is a pipe.
/// @param path "" for no file, "-" for standard input
/// @throws Error naming file, key, and for a key that is not known the nearest one
[[nodiscard]] Job read_job(Files& files, const std::string& path,
                           std::span<const std::string> settings);

/// Sets one key by its path. @param name where the value was written, for errors
/// @throws Error where the key does not take such a value
void set_key(Job& job, std::string_view path, const nlohmann::ordered_json& value,
             const std::string& name);

/// A JSON schema (draft 2020-12) of job files, for editors.
[[nodiscard]] nlohmann::ordered_json job_schema();

/// Bytes of "64MiB", "1.5GB", "4096"; K, M, G, T with or without "iB" are powers of 1024, with
/// "B" powers of 1000. @throws Error naming `what`
[[nodiscard]] std::uint64_t parse_bytes(std::string_view text, std::string_view what);

}  // namespace initrt
