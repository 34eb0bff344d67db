// Directories that hold no checkpoint, and what they hold instead.
#pragma once

#include <string>

#include "sharding/checkpoint/files.h"

namespace initrt {

/// What such a directory is and what to do: files that are Git LFS pointers, unfinished downloads,
/// models one directory below, an adapter, another framework's checkpoint, a training job's state;
/// else the first names in it.
[[nodiscard]] std::string describe_foreign_directory(Files& files, const std::string& path);

}  // namespace initrt
