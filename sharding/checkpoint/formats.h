// The readers that formats.cpp registers, and what they share.
#pragma once

#include <string>
#include <string_view>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

[[nodiscard]] std::vector<Candidate> safetensors_candidates(Files& files, const std::string& path);
[[nodiscard]] std::vector<Candidate> pytorch_candidates(Files& files, const std::string& path);

// Formats of which a path holds one checkpoint or none.
[[nodiscard]] bool detect_lit(Files& files, const std::string& path);
[[nodiscard]] Catalog open_lit(Files& files, const std::string& path);

[[nodiscard]] bool detect_meta(Files& files, const std::string& path);
[[nodiscard]] Catalog open_meta(Files& files, const std::string& path);
/// Whether a file of this name is one of a Meta checkpoint's: consolidated.NN.pth.
[[nodiscard]] bool is_meta_piece(std::string_view name);

[[nodiscard]] bool detect_dcp(Files& files, const std::string& path);
[[nodiscard]] Catalog open_dcp(Files& files, const std::string& path);

[[nodiscard]] bool detect_gguf(Files& files, const std::string& path);
[[nodiscard]] Catalog open_gguf(Files& files, const std::string& path);

/// `directory`/`name`; an empty directory is the working directory.
[[nodiscard]] std::string join_path(std::string_view directory, std::string_view name);

/// The directory part of a path: "a/b" -> "a", "/b" -> "/", "b" -> "".
[[nodiscard]] std::string directory_of(std::string_view path);

/// The last part of a path.
[[nodiscard]] std::string_view name_of(std::string_view path);

/// Whether the path leads to a regular file, or to a directory.
[[nodiscard]] bool is_file(Files& files, const std::string& path);
[[nodiscard]] bool is_directory(Files& files, const std::string& path);

/// Size of a regular file that must be there. @throws Error naming the path where it is not.
[[nodiscard]] std::uint64_t file_bytes(Files& files, const std::string& path);

/// Whether a name in `directory` may be a file of a checkpoint: none that begins with "." (macOS
/// leaves those), and no directory or device. A link to nothing may: the error says so.
[[nodiscard]] bool may_be_a_file(Files& files, const std::string& directory,
                                 const std::string& name);

/// Names in `directory` that end with `suffix` and may be files, sorted.
[[nodiscard]] std::vector<std::string> list_with_suffix(Files& files, const std::string& directory,
                                                        std::string_view suffix);

}  // namespace initrt
