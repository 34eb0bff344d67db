// Safetensors checkpoints: one file, or a Hugging Face directory with or without an index.
#include <algorithm>
#include <array>

#include "sharding/checkpoint/file_set_reader.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/safetensors_header.h"

namespace initrt {
namespace {

constexpr std::string_view kSuffix = ".safetensors";
constexpr std::string_view kStem = "model";
constexpr std::string_view kSingle = "model.safetensors";

bool looks_like_header(Files& files, const std::string& path, std::uint64_t bytes) {
  if (bytes < 9) return false;
  const std::vector<std::byte> head = files.read(path, 0, 9);
  // A header of 2^40 bytes is none; text would have letters in these places.
  const bool short_header =
      head[5] == std::byte{0} && head[6] == std::byte{0} && head[7] == std::byte{0};
  return short_header && head[8] == std::byte{'{'};
}

constexpr FileSetReader kReader = {"safetensors", SharedBytes::Refused, read_safetensors_header};

// What fine-tuning libraries save, and Mistral's copy of a model in its own names.
constexpr std::array<std::string_view, 2> kSpecial = {"adapter", "consolidated"};
// What a training job leaves beside a model.
constexpr std::array<std::string_view, 3> kNoModels = {"optimizer", "scheduler", "random_states"};

bool may_be_a_model(const std::string& name) {
  return is_index(name, kSuffix) ||
         (name.ends_with(kSuffix) &&
          std::none_of(kNoModels.begin(), kNoModels.end(),
                       [&](std::string_view start) { return name.starts_with(start); }));
}

std::vector<std::string> names_in(Files& files, const std::string& directory) {
  std::vector<std::string> names = files.list(directory);
  std::erase_if(names, [&](const std::string& name) {
    return !may_be_a_model(name) || !may_be_a_file(files, directory, name);
  });
  return names;
}

}  // namespace

std::vector<Candidate> safetensors_candidates(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found) return {};
  const SetNames form = {kSingle, kStem, kSpecial};
  if (found->kind == FileInfo::Kind::Directory) {
    return candidates_of(kReader, path, path, file_sets(names_in(files, path), form));
  }
  const std::string directory = directory_of(path), name(name_of(path));
  if (is_index(name, kSuffix)) {
    return candidates_of(kReader, path, directory,
                         sets_of_index(name, file_sets(names_in(files, directory), form)));
  }
  if (!looks_like_header(files, path, found->bytes)) return {};
  return candidates_of(
      kReader, path, directory,
      sets_of_file(name, is_piece(name) ? files.list(directory) : std::vector<std::string>()));
}

}  // namespace initrt
