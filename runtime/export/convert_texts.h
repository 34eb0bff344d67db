// The small files of a Hugging Face directory that convert writes beside the tensors.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/export/convert.h"
#include "runtime/start/open_model.h"

namespace initrt {

struct TextFile {
  std::string name, content;
};

/// Configs and tokenizer; config.json, without which nothing is a checkpoint, comes last. A
/// tokenizer's files are taken over as they are, whether it is of a kind known here or not; one in
/// GGUF's metadata is put into Hugging Face's form. Where there is none, a warning says so.
/// @param index model.safetensors.index.json
[[nodiscard]] std::vector<TextFile> checkpoint_texts(Files& files, const ConvertOptions& options,
                                                     const OpenModel& model,
                                                     const nlohmann::ordered_json& index);

}  // namespace initrt
