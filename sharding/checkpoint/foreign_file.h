// Files that stand where one of a checkpoint should: a Git LFS pointer, a page that a server sent
// instead. The line about them says how to get the file.
#pragma once

#include <string>
#include <string_view>

#include "sharding/checkpoint/files.h"

namespace initrt {

/// What a file that begins so is, and what to do; "" where it is none of these.
/// @param begin the first kForeignBytes of it, or all
[[nodiscard]] std::string describe_foreign(std::string_view begin);

/// As many bytes tell.
inline constexpr std::uint64_t kForeignBytes = 1024;

/// The same of the file at `path`; "" also where it cannot be read.
[[nodiscard]] std::string describe_foreign_file(Files& files, const std::string& path);

/// @throws Error with that line where the file is one of these
void refuse_foreign(Files& files, const std::string& path);

/// Whether a file of this name is an unfinished download, or stands beside one while it goes on.
[[nodiscard]] bool is_partial_download(std::string_view name);

/// @throws Error where the control file of a download stands beside it: the file may have its full
///         size and hold zeros.
void refuse_partial_download(Files& files, const std::string& path);

}  // namespace initrt
