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

/// A box of a tensor's elements as one file stores it. A tensor that no format cuts is one part.
struct TensorPart {
  std::uint32_t file = 0;    ///< index into Catalog::files
  std::uint64_t offset = 0;  ///< bytes from the start of that file to the box's first element
  /// The box's first element and its extents in each of the tensor's dimensions; both empty for the
  /// whole tensor.
  std::vector<std::uint64_t> begin, shape;
  /// Elements from one to the next in each dimension; empty: row-major, without gaps. Only plain
  /// dtypes have strides.
  std::vector<std::uint64_t> strides;

  bool operator==(const TensorPart&) const = default;
};

struct TensorEntry {
  std::string name;  ///< as the checkpoint spells it
  DType dtype = DType::F32;
  std::vector<std::uint64_t> shape;  ///< outermost first (row-major), whatever the format's order
  std::vector<TensorPart> parts;     ///< together they hold each element once

  [[nodiscard]] std::uint64_t elements() const;
  /// What the elements take, gaps between them not counted.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_of(dtype, elements()); }
  /// The extents of a part of this tensor, and the elements in it.
  [[nodiscard]] std::span<const std::uint64_t> shape_of(const TensorPart& part) const {
    return part.shape.empty() ? shape : part.shape;
  }
  /// From the part's first byte to the end of its last: what lies in its gaps is counted.
  [[nodiscard]] std::uint64_t extent_bytes(const TensorPart& part) const;
};

struct CheckpointFile {
  std::string path;
  std::uint64_t bytes = 0;
};

/// Whether several tensors of a format may lie in the same bytes.
enum class SharedBytes : std::uint8_t { Refused, Allowed };

/// The headers of one checkpoint, checked: every part lies inside its file, the parts of a tensor
/// hold each element once, names are unique, and (but for formats whose tensors are views of shared
/// storages) no two tensors overlap. Hold it by value; it owns everything.
class Catalog {
 public:
  std::string format;                      ///< the name of a Format
  std::string path;                        ///< as the user gave it
  std::vector<std::string> other_formats;  ///< that are there too, where none was asked for
  std::vector<CheckpointFile> files;
  std::vector<TensorEntry> tensors;  ///< sorted by (file, offset) of their first parts
  nlohmann::json
      metadata;  ///< the format's own key-values: GGUF's metadata, safetensors' __metadata__
  nlohmann::json config;  ///< the model config in Hugging Face's keys, or null if there is none

  /// Index into `tensors` of the tensor with this name, or -1.
  [[nodiscard]] std::int64_t find(std::string_view name) const;

  /// Sorts `tensors`, indexes the names and checks all the invariants above.
  /// Every reader ends with it. @throws Error naming file, tensor and byte.
  void finish(SharedBytes shared = SharedBytes::Refused);

 private:
  std::unordered_map<std::string, std::uint32_t> index_;
};

/// A shape for a person: "[32, 4096]".
[[nodiscard]] std::string shape_text(std::span<const std::uint64_t> shape);

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

/// Opens a checkpoint by path alone, whatever its format: the first that claims it.
/// @param wanted the name of a format, where a directory holds several; "" for the first
/// @throws Error where nothing is there or no format claims it.
[[nodiscard]] Catalog open_checkpoint(Files& files, const std::string& path,
                                      std::string_view wanted = "");

/// One line that says which of several checkpoints in a directory was opened, or "".
[[nodiscard]] std::string describe_choice(const Catalog& catalog);

}  // namespace initrt
