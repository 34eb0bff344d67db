// A model without its weights: what its config alone says that a checkpoint would hold.
#pragma once

#include <optional>
#include <string>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// The format of a Catalog that catalog_without_weights() made.
inline constexpr std::string_view kNoWeights = "config";

/// The config.json of a model that has no weights at this path: the path of a config itself, a
/// directory that has one and no checkpoint, or one with an index none of whose files is there (or
/// that index). Nothing anywhere else.
[[nodiscard]] std::optional<std::string> config_without_weights(Files& files,
                                                                const std::string& path);

/// The tensors of the checkpoint that Hugging Face's libraries would write of the model, one after
/// the other in a file that is not there.
/// @param path as the user gave it @param config from config_without_weights()
/// @param silent what elements are where the config has no torch_dtype
/// @throws Error as build_graph(), naming the config
[[nodiscard]] Catalog catalog_without_weights(Files& files, const std::string& path,
                                              const std::string& config, DType silent);

/// open_checkpoint(), or catalog_without_weights() where there are none.
[[nodiscard]] Catalog open_checkpoint_or_config(Files& files, const std::string& path,
                                                std::string_view format, DType silent);

}  // namespace initrt
