// From a path to all that is known of a model before memory is allocated or payload read: what the
// checkpoint holds, the graph and its layout, which tensor comes from where.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/exec/instance.h"
#include "runtime/start/options.h"
#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/files.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/graph.h"
#include "sharding/layout.h"
#include "sharding/notices.h"

namespace initrt {

struct OpenModel {
  Catalog catalog;
  nlohmann::json config;  ///< in Hugging Face's keys
  Graph graph;
  Layout layout;
  Bindings bindings;
  std::string warning;  ///< of what is taken otherwise than the config says; "" for nothing
  /// Sentences on what the checkpoint has and the model does not use: tensors, a way of quantizing.
  std::vector<std::string> unused;

  [[nodiscard]] Model view() const { return {graph, layout, bindings, catalog}; }
};

/// Catalog, graph, layout and bindings of a model, with its weights.
/// @throws Error for whatever is missing or does not fit together; where `strict` also for tensors
///         that nothing uses
/// @param alive called again and again where tensors have to be read; may be empty
[[nodiscard]] OpenModel open_model(Files& files, const ModelOptions& options,
                                   const std::function<void()>& alive = {});

/// The same of a catalog that is open already.
[[nodiscard]] OpenModel open_model(Files& files, const ModelOptions& options, Catalog catalog);

/// What a run would open, or a model without weights (without_weights.h) where a config is alone.
[[nodiscard]] OpenModel open_model_or_config(Files& files, const ModelOptions& options);

/// note_choice(), and the model's own warnings.
void note_model(const OpenModel& model, const Notices& notices);

}  // namespace initrt
