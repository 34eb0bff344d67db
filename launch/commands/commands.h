// What a person can ask for; main parses the command line into these.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/commands/run_options.h"
#include "runtime/export/convert.h"
#include "runtime/machine/world.h"
#include "runtime/text/tokenizer.h"

namespace initrt {

/// The main job: loads and generates on all ranks. Collective.
/// @returns the process's exit status: 0, or where a signal has stopped it stop_status()
int run(World& world, const RunOptions& options);

struct ScoreOptions {
  std::string text_path;  ///< a text file, or "" where tokens are given
  std::vector<TokenId> tokens;
  std::string logits_path;  ///< an .npy of float32 [tokens, vocabulary], or ""
};
/// Runs a text through the model teacher-forced and prints how likely it is. Collective.
void score(World& world, const RunOptions& options, const ScoreOptions& score);

struct PlanOptions {
  std::uint32_t world = 1;   ///< ranks
  std::uint32_t nodes = 1;   ///< that they are on
  bool one_node = true;      ///< whether all ranks are on one
  std::uint64_t memory = 0;  ///< bytes of each node, or of each GPU; 0: this node's
  bool json = false;
};
/// Prints what a run would allocate and read, without a world or a read of payload.
void print_plan(const RunOptions& options, const PlanOptions& plan);

struct DoctorOptions {
  bool json = false;
};
/// Prints what this machine has of what initrt can use, and what is lost where it lacks something.
void print_diagnosis(const DoctorOptions& options);

struct InspectOptions {
  std::string path;
  std::string format;  ///< a Format's name, or "" for the first that is there
  bool json = false;
};
/// Lists a checkpoint.
void inspect(const InspectOptions& options);

struct VerifyOptions {
  std::string path, format;             ///< as InspectOptions
  std::string against, against_format;  ///< another checkpoint, or ""
  bool stored = false;                  ///< tensors as they are stored, though the model is known
  bool json = false;
};
/// Prints hashes of a checkpoint's values, or whether two checkpoints hold the same.
/// @throws Error naming the first difference
void verify(const VerifyOptions& options);

/// convert_to_safetensors(), with what there is to tell on standard error.
void convert(ConvertOptions options);

}  // namespace initrt
