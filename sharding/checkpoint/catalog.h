// What a checkpoint holds, from its headers alone: tensor name -> file, byte range, dtype, shape.
// Every reader (one file per format) ends in this same structure; nothing after it knows formats.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sharding/checkpoint/files.h"
#include "sharding/checkpoint/name_index.h"
#include "sharding/dtype.h"
#include "sharding/error.h"

namespace initrt {

/// A checkpoint is well-formed, but does not hold what is asked of it; another one in the same
/// directory may.
class UnfitCheckpoint : public Error {
 public:
  /// @param reason the same in few words, for the line that says what was read instead
  explicit UnfitCheckpoint(const std::string& text, const std::string& reason = "")
      : Error(text), reason_(reason.empty() ? text : reason) {}

  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

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
  /// Whether its parts are boxes of it, not one part the whole of it.
  [[nodiscard]] bool is_cut() const { return parts.size() != 1 || !parts.front().shape.empty(); }
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
  FileStamp stamp{};  ///< of when its header was read
};

/// Whether several tensors of a format may lie in the same bytes.
enum class SharedBytes : std::uint8_t { Refused, Allowed };

/// The headers of one checkpoint, checked: every part lies inside its file, the parts of a tensor
/// hold each element once, names are unique, and (but for formats whose tensors are views of shared
/// storages) no two tensors overlap. Hold it by value; it owns everything.
class Catalog {
 public:
  std::string format;  ///< the name of a Format
  std::string path;    ///< as the user gave it
  std::string choice;  ///< one line that says which of several checkpoints this is, or ""
  std::vector<std::string> notes;  ///< one line each: on files left out, on an index that is wrong
  std::vector<CheckpointFile> files;
  std::vector<TensorEntry> tensors;  ///< sorted by (file, offset) of their first parts
  nlohmann::json
      metadata;  ///< the format's own key-values: GGUF's metadata, safetensors' __metadata__
  nlohmann::json config;  ///< the model config in Hugging Face's keys, or null if there is none

  /// What should be there and is not: tensors that no file holds, with the name of the file that an
  /// index has each in; and names of files.
  std::map<std::string, std::string> absent_tensors;
  std::vector<std::string> absent_files;
  std::uint64_t more_absent_files = 0;  ///< beyond those, of a cut of many

  /// Index into `tensors` of the tensor that had this name at finish(), or -1.
  [[nodiscard]] std::int64_t find(std::string_view name) const;

  /// Sorts `tensors`, indexes the names and checks all the invariants above.
  /// Every reader ends with it. @throws Error naming file, tensor and byte.
  void finish(SharedBytes shared = SharedBytes::Refused);

 private:
  NameIndex index_;
};

/// A shape for a person: "[32, 4096]".
[[nodiscard]] std::string shape_text(std::span<const std::uint64_t> shape);

/// One line about what should be there and is not, or "".
[[nodiscard]] std::string describe_absent(const Catalog& catalog);

/// One way to read a path: as this checkpoint, of the several that it may hold.
struct Candidate {
  std::string name;                ///< for a person: "model.safetensors"
  std::vector<std::string> files;  ///< their names in the directory, where they are known
  /// Reads headers only. @throws Error for anything that is not well-formed.
  std::function<Catalog(Files&)> open;
  bool last_resort = false;  ///< made of other candidates' files
};

/// One checkpoint format. Adding one is a new file and a line in formats.cpp.
struct Format {
  std::string_view name;
  /// What a path (a file or a directory) may be in this format, the likeliest first; nothing where
  /// it does not look like it: by content, not by name alone.
  std::vector<Candidate> (*candidates)(Files&, const std::string& path);
};

/// All formats, in the order in which they are tried.
[[nodiscard]] std::span<const Format> formats();

/// A well-formed file that is no model: beside one, it is left out.
class NoModelFile final : public UnfitCheckpoint {
 public:
  using UnfitCheckpoint::UnfitCheckpoint;
};

/// What is asked of a checkpoint. @throws UnfitCheckpoint where it does not hold that, and another
/// one is to be tried; any other Error ends the search
using CatalogCheck = std::function<void(const Catalog&)>;

/// Opens a checkpoint by path alone, whatever its format: the first candidate that can be opened
/// and passes `check`. Catalog::choice says which, where there are several.
/// @param wanted the name of a format, where a directory holds several; "" for any
/// @throws Error where nothing is there, or no candidate will do: the first one's error.
[[nodiscard]] Catalog open_checkpoint(Files& files, const std::string& path,
                                      std::string_view wanted, const CatalogCheck& check);

/// The same without a check: the first candidate that lacks nothing by its own account (an index,
/// the number of pieces), else the first that can be opened.
[[nodiscard]] Catalog open_checkpoint(Files& files, const std::string& path,
                                      std::string_view wanted = "");

}  // namespace initrt
