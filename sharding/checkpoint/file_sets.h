// Which files of a directory make up a checkpoint, by their names alone. One directory may hold
// several: a single file, the shards of an index, another cut into shards, another program's copy.
// Their tensors are never mixed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace initrt {

/// One checkpoint of a directory: names of files in it.
struct FileSet {
  std::string name;                 ///< for a person
  std::vector<std::string> files;   ///< sorted; those of an index are not known yet
  std::vector<std::string> absent;  ///< pieces that should be there, the first few
  std::string index;                ///< the file of an index, or ""
  bool last_resort = false;         ///< one cut under several names, with what is of no cut
  bool loose = false;               ///< files of any name, of which some may be no model
  std::uint64_t more_absent = 0;    ///< pieces that should be there beyond `absent`
};

/// How a format calls its files in Hugging Face's directories.
struct SetNames {
  std::string_view single;                    ///< "model.safetensors"
  std::string_view stem;                      ///< of pieces: "model"
  std::span<const std::string_view> special;  ///< what begins so is a checkpoint of its own
};

/// The sets in a directory that holds `names`, in the order in which transformers would take them
/// (the single file, the index), then by likelihood: complete cuts into pieces, other indexes,
/// files of other names together, incomplete cuts, special files, and last each cut with the files
/// of other names.
/// @param names sorted; indexes and the format's files, no others
[[nodiscard]] std::vector<FileSet> file_sets(const std::vector<std::string>& names,
                                             const SetNames& form);

/// For a path to an index: its files, then what else the directory holds.
[[nodiscard]] std::vector<FileSet> sets_of_index(const std::string& index,
                                                 std::vector<FileSet> in_directory);

/// Whether the name is that of an index of files with this suffix (with its dot; "" for any):
/// "model.safetensors.index.json", "model.safetensors.index.fp16.json".
[[nodiscard]] bool is_index(std::string_view name, std::string_view suffix);

/// Whether the name is that of a piece of several: "x-00001-of-00003.safetensors".
[[nodiscard]] bool is_piece(std::string_view name);

/// For a path to a file: the file, then all pieces of the cut that its name is of, if of any.
/// @param names of the files in its directory; not looked at where it is no piece
[[nodiscard]] std::vector<FileSet> sets_of_file(const std::string& file,
                                                const std::vector<std::string>& names);

}  // namespace initrt
