// The model config beside a checkpoint's tensors, whoever wrote it, in Hugging Face's keys.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// From the first of these in `directory`: for Lit's checkpoints lit_config.json and
/// model_config.yaml; config.json; params.json (Meta's); and where there is none, from Lit-LLaMA's
/// tensors. A generation_config.json is under "generation_config"; what ModelOpt, AutoGPTQ or
/// AutoAWQ wrote into a file of its own is "quantization_config", where there is none. Null where
/// nothing says.
/// @throws Error for a file that is not well-formed
[[nodiscard]] nlohmann::json read_model_config(Files& files, const std::string& directory,
                                               const Catalog& catalog);

/// The config of the model of text alone where it is part of one that also sees or hears, as
/// `text_config`; else the config itself. What stands outside of it (token ids, whether the
/// embedding is tied) is taken over where it says nothing itself.
[[nodiscard]] nlohmann::json text_model_config(nlohmann::json config);

}  // namespace initrt
