// PyTorch checkpoints: state dicts that torch.save wrote, in one file or with Hugging Face's index
// in several; and Lit's, which are the same under other names.
#include <algorithm>
#include <array>

#include "sharding/checkpoint/file_set_reader.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/torch/torch_parts.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kStem = "pytorch_model";
constexpr std::string_view kSingle = "pytorch_model.bin";
constexpr std::array<std::string_view, 3> kSuffixes = {".bin", ".pth", ".pt"};
constexpr std::string_view kIndexed = ".bin";                      // what an index is of
constexpr std::array<std::string_view, 1> kSpecial = {"adapter"};  // no model, but beside one
constexpr std::array<std::string_view, 2> kLit = {"lit_model.pth", "lit-llama.pth"};
// What a training job leaves beside a model: no state dicts of one.
constexpr std::array<std::string_view, 5> kNoModels = {"training_args", "optimizer", "scheduler",
                                                       "scaler", "rng_state"};

bool is_lit_name(std::string_view name) {
  return std::find(kLit.begin(), kLit.end(), name) != kLit.end();
}

bool may_be_a_model(std::string_view name) {
  return !name.starts_with('.') && !is_lit_name(name) && !is_meta_piece(name) &&
         !name.ends_with("_optim_states.pt") &&
         std::any_of(kSuffixes.begin(), kSuffixes.end(),
                     [&](std::string_view suffix) { return name.ends_with(suffix); }) &&
         std::none_of(kNoModels.begin(), kNoModels.end(),
                      [&](std::string_view start) { return name.starts_with(start); });
}

// What cannot be examined, a link to itself for instance, is no model either: it may lie beside
// one.
bool is_state_dict(Files& files, const std::string& path) {
  try {
    return is_file(files, path) && looks_like_torch(files, path);
  } catch (const Error&) {
    return false;
  }
}

// Beside a checkpoint of these formats, a state dict of another name is seldom one of the model:
// Lightning puts meta.pt into its distributed checkpoints.
bool has_other_format(Files& files, const std::string& directory) {
  constexpr std::array kOthers = {detect_lit, detect_meta, detect_dcp, detect_gguf};
  return std::any_of(kOthers.begin(), kOthers.end(),
                     [&](auto* detect) { return detect(files, directory); });
}

constexpr FileSetReader kReader = {"pytorch", SharedBytes::Allowed, read_torch_header};
constexpr FileSetReader kLitReader = {"lit", SharedBytes::Allowed, read_torch_header};

// Indexes and state dicts in a directory.
std::vector<std::string> names_in(Files& files, const std::string& directory) {
  std::vector<std::string> names = files.list(directory);
  const bool other_format = has_other_format(files, directory);
  std::erase_if(names, [&](const std::string& name) {
    if (is_index(name, kIndexed) || name == kSingle) return !may_be_a_file(files, directory, name);
    if (!may_be_a_model(name) || (other_format && !name.starts_with(kStem))) return true;
    return !is_state_dict(files, join_path(directory, name));
  });
  return names;
}

}  // namespace

std::vector<Candidate> pytorch_candidates(Files& files, const std::string& path) {
  const SetNames form = {kSingle, kStem, kSpecial};
  if (is_directory(files, path)) {
    return candidates_of(kReader, path, path, file_sets(names_in(files, path), form));
  }
  const std::string directory = directory_of(path), name(name_of(path));
  if (is_index(name, kIndexed)) {
    return candidates_of(kReader, path, directory,
                         sets_of_index(name, file_sets(names_in(files, directory), form)));
  }
  if (is_lit_name(name) || is_meta_piece(name) || !looks_like_torch(files, path)) return {};
  return candidates_of(
      kReader, path, directory,
      sets_of_file(name, is_piece(name) ? files.list(directory) : std::vector<std::string>()));
}

bool detect_lit(Files& files, const std::string& path) {
  if (!is_directory(files, path)) return is_lit_name(name_of(path));
  return std::any_of(kLit.begin(), kLit.end(),
                     [&](std::string_view name) { return is_file(files, join_path(path, name)); });
}

Catalog open_lit(Files& files, const std::string& path) {
  if (!is_directory(files, path)) {
    const std::string name(name_of(path));
    return open_file_set(files, kLitReader, path, directory_of(path), {name, {name}, {}, {}});
  }
  const std::string name(*std::find_if(kLit.begin(), kLit.end(), [&](std::string_view candidate) {
    return is_file(files, join_path(path, candidate));
  }));
  return open_file_set(files, kLitReader, path, path, {name, {name}, {}, {}});
}

}  // namespace initrt
