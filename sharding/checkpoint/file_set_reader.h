// From a set of files (file_sets.h) to one catalog: what safetensors and PyTorch directories share.
#pragma once

#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/file_sets.h"

namespace initrt {

/// The header of one file.
struct FileHeader {
  std::vector<TensorEntry> tensors;  ///< offsets from the start of the file; `file` left at 0
  nlohmann::json metadata;           ///< of strings, or an empty object
  std::uint64_t file_bytes = 0;
};

/// Adds a file and its tensors.
void add_header(Catalog& catalog, const std::string& path, FileHeader header);

/// What a format's files are.
struct FileSetReader {
  std::string_view format;
  SharedBytes shared = SharedBytes::Refused;
  FileHeader (*read)(Files&, const std::string& path) = nullptr;
};

/// Reads the headers of a set. They say which tensors exist; an index is a hint, which decides
/// between copies only. What it names and no file holds goes to Catalog::absent_*.
/// @param path as the user gave it
/// @throws Error where a header is not well-formed, no file of an index is there, or two files hold
///         one tensor and no index says which of them counts
[[nodiscard]] Catalog open_file_set(Files& files, const FileSetReader& reader,
                                    const std::string& path, const std::string& directory,
                                    const FileSet& set);

/// The sets as candidates for `path`.
[[nodiscard]] std::vector<Candidate> candidates_of(const FileSetReader& reader,
                                                   const std::string& path,
                                                   const std::string& directory,
                                                   const std::vector<FileSet>& sets);

}  // namespace initrt
