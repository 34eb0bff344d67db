// Any checkpoint as a Hugging Face directory of safetensors, streamed: memory stays at a few
// blocks, whatever the size of the model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/start/options.h"
#include "sharding/notices.h"

namespace initrt {

struct ConvertOptions {
  ModelOptions model;     ///< the checkpoint; its weights are made plain in `precision`
  std::string to;         ///< directory to make
  std::string precision;  ///< "" for the checkpoint's own, or 32-true where it has none
  std::uint64_t file_bytes =
      0;  ///< most tensor bytes of a file; 0: 5 GB, or a quarter of the model
  Notices notices;
  /// Told of each file of tensors that is written: how many of all tensors' bytes are. May be
  /// empty.
  std::function<void(const std::string& file, std::uint64_t done_bytes, std::uint64_t all_bytes)>
      on_file;
};

/// Writes the files, and gives them their names once all are whole, config.json last: what is left
/// of a conversion that is interrupted is never taken for a checkpoint. No file is overwritten.
/// @throws Error where the checkpoint cannot be opened, or a file is there or cannot be written
void convert_to_safetensors(const ConvertOptions& options);

}  // namespace initrt
