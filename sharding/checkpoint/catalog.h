// What a checkpoint holds, from its headers alone: tensor name -> file, byte range, dtype, shape.
// Every reader (one file per format) ends in this same structure; nothing after it knows formats.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sharding/checkpoint/files.h"
#include "sharding/dtype.h"

namespace initrt {

struct TensorEntry {
  std::string name;  ///< as the checkpoint spells it
  DType dtype = DType::F32;
  std::vector<std::uint64_t> shape;  ///< outermost first (row-major), whatever the format's order
  std::uint32_t file = 0;            ///< index into Catalog::files
  std::uint64_t offset = 0;          ///< bytes from the start of that file
  std::uint64_t bytes = 0;           ///< contiguous bytes on disk

  [[nodiscard]] std::uint64_t elements() const;
};

struct CheckpointFile {
  std::string path;
  std::uint64_t bytes = 0;
};

/// The headers of one checkpoint, checked: every range lies inside its file, no two overlap,
/// bytes agree with dtype and shape, names are unique. Hold it by value; it owns everything.
class Catalog {
 public:
  std::string format;  ///< "safetensors", "gguf", ...
  std::string path;    ///< as the user gave it
  std::vector<CheckpointFile> files;
  std::vector<TensorEntry> tensors;  ///< sorted by (file, offset)
  nlohmann::json
      metadata;  ///< the format's own key-values: GGUF's metadata, safetensors' __metadata__
  nlohmann::json config;  ///< the model config in Hugging Face's keys, or null if there is none

  /// Index into `tensors` of the tensor with this name, or -1.
  [[nodiscard]] std::int64_t find(std::string_view name) const;

  /// Sorts `tensors`, indexes the names and checks all the invariants above.
  /// Every reader ends with it. @throws Error naming file, tensor and byte.
  void finish();

 private:
  std::unordered_map<std::string, std::uint32_t> index_;
};

/// One checkpoint format. Adding one is a new file and a line in formats.cpp.
struct Format {
  std::string_view name;
  /// Whether `path` (a file or a directory) looks like this format: by content, not by name alone.
  bool (*detect)(Files&, const std::string& path);
  /// Reads headers only. @throws Error for anything that is not well-formed.
  Catalog (*open)(Files&, const std::string& path);
};

/// All formats, in the order in which they are tried.
[[nodiscard]] std::span<const Format> formats();

/// Opens a checkpoint by path alone, whatever its format.
/// @throws Error where nothing is there or no format claims it.
[[nodiscard]] Catalog open_checkpoint(Files& files, const std::string& path);

}  // namespace initrt
