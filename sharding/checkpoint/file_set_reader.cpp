#include "sharding/checkpoint/file_set_reader.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/weight_map.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The files of the index that are there; the others are noted as absent.
std::vector<std::string> files_there(Files& files, const WeightMap& map,
                                     const std::string& directory, const std::string& index_path,
                                     Catalog& catalog) {
  std::set<std::string> names;
  for (const auto& [tensor, name] : map) names.insert(name);
  std::vector<std::string> there;
  for (const std::string& name : names) {
    (is_file(files, join_path(directory, name)) ? there : catalog.absent_files).push_back(name);
  }
  if (there.empty()) {
    throw UnfitCheckpoint(
        fmt::format("{}: none of the {} file{} that it names is there, e.g. {}: download them",
                    index_path, names.size(), names.size() == 1 ? "" : "s", quote(*names.begin())),
        fmt::format("none is there, e.g. {}", quote(*names.begin())));
  }
  return there;
}

// An index is a hint: a malformed one gives way to the files.
WeightMap read_index(Files& files, const std::string& path) {
  try {
    return read_weight_map(files, path);
  } catch (const Error& error) {
    throw UnfitCheckpoint(error.what());
  }
}

// Of several copies of a tensor keeps the one that is in the index's file.
class Copies {
 public:
  Copies(const WeightMap& map, const std::vector<std::string>& names, const std::string& directory,
         const std::vector<TensorEntry>& tensors)
      : map_(map), names_(names), directory_(directory) {
    for (const TensorEntry& tensor : tensors) {
      Copy& copy = copies_[tensor.name];
      if (copy.count++ == 0) copy.first = tensor.parts.front().file;
      copy.placed = copy.placed || is_placed(tensor);
    }
  }

  [[nodiscard]] bool keeps(const TensorEntry& tensor) const {
    const Copy& copy = copies_.at(tensor.name);
    if (copy.count == 1) return true;
    if (copy.placed) return is_placed(tensor);
    const std::uint32_t file = tensor.parts.front().file;
    if (file == copy.first) return true;
    throw UnfitCheckpoint(fmt::format(
        "{}: {} and {} both hold tensor {}: name the file of one, or have the files of one model",
        directory_.empty() ? "." : directory_, quote(names_[copy.first]), quote(names_[file]),
        quote(tensor.name)));
  }

 private:
  struct Copy {
    std::uint32_t count = 0, first = 0;
    bool placed = false;
  };

  [[nodiscard]] bool is_placed(const TensorEntry& tensor) const {
    const auto found = map_.find(tensor.name);
    return found != map_.end() && found->second == names_[tensor.parts.front().file];
  }

  const WeightMap& map_;
  const std::vector<std::string>& names_;
  const std::string& directory_;
  std::unordered_map<std::string, Copy> copies_;
};

// Notes where the index is wrong: tensors that no file holds, and those that another file holds.
void note_differences(const WeightMap& map, const std::vector<std::string>& names,
                      const std::string& index, Catalog& catalog) {
  std::size_t moved = 0;
  for (const auto& [tensor, name] : map) {
    const std::int64_t found = catalog.find(tensor);
    if (found < 0) {
      catalog.absent_tensors.emplace(tensor, name);
    } else if (names[catalog.tensors[static_cast<std::size_t>(found)].parts.front().file] != name) {
      ++moved;
    }
  }
  if (moved == 0) return;
  catalog.notes.push_back(
      fmt::format("{}: {} has {} tensor{} in another file than holds {}; read from that one",
                  catalog.path, index, moved, moved == 1 ? "" : "s", moved == 1 ? "it" : "them"));
}

}  // namespace

void add_header(Catalog& catalog, const std::string& path, FileHeader header) {
  const auto file = static_cast<std::uint32_t>(catalog.files.size());
  catalog.files.push_back({path, header.file_bytes});
  for (TensorEntry& tensor : header.tensors) {
    tensor.parts.front().file = file;
    catalog.tensors.push_back(std::move(tensor));
  }
  for (const auto& [key, value] : header.metadata.items()) catalog.metadata.emplace(key, value);
}

namespace {

void add_file(Files& files, const FileSetReader& reader, const std::string& path,
              Catalog& catalog) {
  if (!files.stat(path)) {
    throw UnfitCheckpoint(fmt::format("{}: a link to a file that is not there: download it", path));
  }
  refuse_partial_download(files, path);
  add_header(catalog, path, reader.read(files, path));
}

// Adds those that are models' files. @returns their names
std::vector<std::string> add_loose_files(Files& files, const FileSetReader& reader,
                                         const std::string& directory,
                                         const std::vector<std::string>& names, Catalog& catalog) {
  std::vector<std::string> added;
  std::string first_why;
  for (const std::string& name : names) {
    try {
      add_file(files, reader, join_path(directory, name), catalog);
      added.push_back(name);
    } catch (const NoModelFile& error) {
      if (first_why.empty()) first_why = error.what();
    }
  }
  if (added.empty()) throw NoModelFile(first_why);
  if (!first_why.empty()) {
    const std::size_t left_out = names.size() - added.size();
    catalog.notes.push_back(fmt::format("{} file{} left out: {}", left_out,
                                        left_out == 1 ? " is" : "s are", first_why));
  }
  return added;
}

}  // namespace

Catalog open_file_set(Files& files, const FileSetReader& reader, const std::string& path,
                      const std::string& directory, const FileSet& set) {
  Catalog catalog;
  catalog.format = reader.format;
  catalog.path = path;
  catalog.metadata = nlohmann::json::object();
  catalog.absent_files = set.absent;
  catalog.more_absent_files = set.more_absent;
  WeightMap map;
  std::vector<std::string> names = set.files;
  if (!set.index.empty()) {
    const std::string index_path = join_path(directory, set.index);
    map = read_index(files, index_path);
    names = files_there(files, map, directory, index_path, catalog);
  }
  if (!set.loose) {
    for (const std::string& name : names)
      add_file(files, reader, join_path(directory, name), catalog);
  } else {
    names = add_loose_files(files, reader, directory, names, catalog);
  }
  std::vector<TensorEntry> all = std::exchange(catalog.tensors, {});
  const Copies copies(map, names, directory, all);
  for (TensorEntry& tensor : all) {
    if (copies.keeps(tensor)) catalog.tensors.push_back(std::move(tensor));
  }
  catalog.finish(reader.shared);
  note_differences(map, names, set.index, catalog);
  catalog.config = read_model_config(files, directory, catalog);
  return catalog;
}

std::vector<Candidate> candidates_of(const FileSetReader& reader, const std::string& path,
                                     const std::string& directory,
                                     const std::vector<FileSet>& sets) {
  std::vector<Candidate> candidates;
  candidates.reserve(sets.size());
  for (const FileSet& set : sets) {
    candidates.push_back({set.name, set.files,
                          [reader, path, directory, set](Files& files) {
                            return open_file_set(files, reader, path, directory, set);
                          },
                          set.last_resort});
  }
  return candidates;
}

}  // namespace initrt
