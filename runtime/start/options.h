// What is asked of a model and a run. Values are those of the keys of a job, and errors name them
// so: a job is made of these structs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sharding/sweep_time.h"

namespace initrt {

/// Which model, and what its weights are held in.
struct ModelOptions {
  std::string path;             ///< a checkpoint: a file or a directory
  std::string format = "auto";  ///< a Format's name, where there are several; auto: the first
  std::string tokenizer;        ///< a file of one, or its directory; "": the checkpoint's own
  std::string config;           ///< a config.json; "": the checkpoint's own
  std::string precision = "bf16-true";
  struct {
    std::string method = "none";    ///< name() of a QuantizeMethod
    std::vector<std::string> skip;  ///< modules whose matrices stay in the precision
    double threshold = 6.0;         ///< of llm.int8: least magnitude of an outlier
  } quantize;
  bool strict = false;     ///< a tensor that nothing uses is an error
  bool all_names = false;  ///< texts name all missing or unused tensors, not the first few
};

/// How large sweeps and memory may be, and what moves in a sweep.
struct ShapeOptions {
  std::string move = "auto";          ///< name() of a Move
  std::uint64_t prefetch = 1;         ///< units gathered ahead of use
  std::uint64_t staging = 64u << 20;  ///< bytes of host memory that files are streamed through
  Speeds speeds;                      ///< of ranks, by which `auto` compares times; 0: bytes
  std::uint64_t budget = 0;           ///< bytes of each rank; 0: nothing resident beyond the slots
  std::uint64_t context = 0;          ///< positions; 0: as the longest prompt and answer need
  std::uint64_t batch = 8;            ///< most sequences at once on each rank
  std::uint64_t prefill_chunk = 256;  ///< most prompt tokens of a sweep
};

/// How conversations become prompts.
struct ChatTemplateOptions {
  std::string name;  ///< a file, or the name of one of the model's own; "": by the conversation
  /// More variables of templates: an object.
  nlohmann::ordered_json arguments = nlohmann::ordered_json::object();
  std::string date;  ///< what they take for today; "": they see no clock
};

}  // namespace initrt
