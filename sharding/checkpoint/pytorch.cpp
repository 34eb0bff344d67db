// PyTorch checkpoints: state dicts that torch.save wrote, in one file or with Hugging Face's index
// in several; and Lit's, which are the same under other names.
#include <algorithm>
#include <array>

#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/piece_name.h"
#include "sharding/checkpoint/torch/torch_parts.h"
#include "sharding/checkpoint/weight_map.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kIndexSuffix = ".bin.index.json";
constexpr std::string_view kIndex = "pytorch_model.bin.index.json";
constexpr std::string_view kSingle = "pytorch_model.bin";
constexpr std::string_view kBin = ".bin";
constexpr std::array<std::string_view, 3> kSuffixes = {kBin, ".pth", ".pt"};
constexpr std::array<std::string_view, 2> kLit = {"lit_model.pth", "lit-llama.pth"};
// What a training job leaves beside a model: no state dicts of one.
constexpr std::array<std::string_view, 5> kNoModels = {"training_args", "optimizer", "scheduler",
                                                       "scaler", "rng_state"};

bool is_lit_name(std::string_view name) {
  return std::find(kLit.begin(), kLit.end(), name) != kLit.end();
}

bool may_be_a_model(std::string_view name) {
  return !is_lit_name(name) && !is_meta_piece(name) &&
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

// State dicts in a directory that has none under Hugging Face's names.
std::vector<std::string> other_models(Files& files, const std::string& directory) {
  std::vector<std::string> names = files.list(directory);
  std::erase_if(names, [&](const std::string& name) {
    return !may_be_a_model(name) || !is_state_dict(files, join_path(directory, name));
  });
  return names;
}

// Beside a checkpoint of these formats, a state dict of another name is seldom one of the model:
// Lightning puts meta.pt into its distributed checkpoints.
bool has_other_format(Files& files, const std::string& directory) {
  constexpr std::array kOthers = {detect_lit, detect_meta, detect_dcp, detect_gguf};
  return std::any_of(kOthers.begin(), kOthers.end(),
                     [&](auto* detect) { return detect(files, directory); });
}

Catalog open_files(Files& files, std::string_view format, const std::string& path,
                   const std::string& directory, const std::vector<std::string>& names,
                   const WeightMap& map = {}) {
  Catalog catalog;
  catalog.format = format;
  catalog.path = path;
  catalog.metadata = nlohmann::json::object();
  for (const std::string& name : names) {
    add_torch_file(files, catalog, join_path(directory, name),
                   [&](const std::string& tensor) { return belongs_to(map, tensor, name); });
  }
  catalog.finish(SharedBytes::Allowed);
  catalog.config = read_model_config(files, directory, catalog);
  return catalog;
}

Catalog open_index(Files& files, const std::string& path, const std::string& index_path) {
  const WeightMap map = read_weight_map(files, index_path);
  Catalog catalog = open_files(files, "pytorch", path, directory_of(index_path),
                               files_of(files, map, index_path), map);
  check_all_found(map, catalog, index_path);
  return catalog;
}

}  // namespace

bool detect_pytorch(Files& files, const std::string& path) {
  if (is_directory(files, path)) {
    return is_file(files, join_path(path, kIndex)) || is_file(files, join_path(path, kSingle)) ||
           (!has_other_format(files, path) && !other_models(files, path).empty());
  }
  if (path.ends_with(kIndexSuffix)) return true;
  const std::string_view name = name_of(path);
  return !is_lit_name(name) && !is_meta_piece(name) && looks_like_torch(files, path);
}

Catalog open_pytorch(Files& files, const std::string& path) {
  if (!is_directory(files, path)) {
    if (path.ends_with(kIndexSuffix)) return open_index(files, path, path);
    return open_files(files, "pytorch", path, directory_of(path), {std::string(name_of(path))});
  }
  if (const std::string index = join_path(path, kIndex); is_file(files, index)) {
    return open_index(files, path, index);
  }
  if (is_file(files, join_path(path, kSingle))) {
    return open_files(files, "pytorch", path, path, {std::string(kSingle)});
  }
  const std::vector<std::string> names = other_models(files, path);
  if (are_all_pieces(names, kBin)) return open_files(files, "pytorch", path, path, names);
  if (names.size() != 1) {
    fail("{}: {} PyTorch files, name one of them: {}", path, names.size(), fmt::join(names, ", "));
  }
  if (const auto piece = parse_piece_name(names.front(), kBin); piece && piece->count > 1) {
    fail("{}: {} is piece {} of {}, the others are missing", path, names.front(), piece->number,
         piece->count);
  }
  return open_files(files, "pytorch", path, path, names);
}

bool detect_lit(Files& files, const std::string& path) {
  if (!is_directory(files, path)) return is_lit_name(name_of(path));
  return std::any_of(kLit.begin(), kLit.end(),
                     [&](std::string_view name) { return is_file(files, join_path(path, name)); });
}

Catalog open_lit(Files& files, const std::string& path) {
  if (!is_directory(files, path)) {
    return open_files(files, "lit", path, directory_of(path), {std::string(name_of(path))});
  }
  const auto name = std::find_if(kLit.begin(), kLit.end(), [&](std::string_view candidate) {
    return is_file(files, join_path(path, candidate));
  });
  return open_files(files, "lit", path, path, {std::string(*name)});
}

}  // namespace initrt
