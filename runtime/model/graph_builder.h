// What families share when they build a graph: adding tensors, activations and units, and cutting
// the vocabulary tables into tiles no larger than a block.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "sharding/graph.h"

namespace initrt {

/// The end of a model. Tensors are indices into Graph::tensors.
struct HeadSpec {
  NormOp norm;  ///< its params are set when it is placed
  std::uint32_t norm_weight = 0;
  std::optional<std::uint32_t> norm_bias;
  std::uint32_t table = 0;
  std::optional<std::uint32_t> bias;
  bool tied = false;   ///< the table's tiles are also the embedding
  float scale = 1.0f;  ///< of the logits, before the cap
  float softcap = 0.0f;
};

class GraphBuilder {
 public:
  explicit GraphBuilder(Graph graph) : graph_(std::move(graph)) {}

  ActivationId activation(std::string name, std::uint64_t columns);

  /// A state of its own for each sequence.
  StateId state() { return graph_.states++; }

  /// Adds a canonical tensor and returns its index.
  std::uint32_t matrix(std::string name, std::uint64_t rows, std::uint64_t columns,
                       std::uint32_t rotary_heads = 0);
  std::uint32_t vector(std::string name, std::uint64_t rows, std::uint32_t rotary_heads = 0);
  /// A vector of `elements` for each rotary head.
  std::uint32_t heads(std::string name, std::uint32_t heads, std::uint64_t elements);

  /// Has a tensor held in float32 in any precision.
  void keep_float32(std::uint32_t tensor) { graph_.tensors[tensor].float32 = true; }

  [[nodiscard]] std::uint64_t columns(ActivationId id) const {
    return graph_.activations[id].columns;
  }

  /// Says that a tensor's values may also stand under another name.
  void alias(std::uint32_t tensor, std::string name) {
    graph_.tensors[tensor].aliases.push_back(std::move(name));
  }

  /// Adds a whole tensor to a unit and returns its place among the unit's params.
  ParamId param(Unit& unit, std::uint32_t tensor) const;

  void unit(Unit unit) { graph_.units.push_back(std::move(unit)); }

  /// Adds the embedding as a unit of its own whose rows are exchanged.
  void embedding(std::uint32_t table);

  /// Adds a table as a unit of its own whose rows come behind those of the embedding.
  void further_table(std::uint32_t table);
  /// Says where rows of all tables go in, if not into `hidden`.
  void embedded(ActivationId into) { graph_.embedded = into; }

  /// Adds the head: the final norm and the vocabulary table, cut into tiles of at most the elements
  /// of the largest block so far, or of more where they would be more than 4096 tiles.
  void head(const HeadSpec& spec);

  [[nodiscard]] const Graph& graph() const { return graph_; }
  Graph take() { return std::move(graph_); }

 private:
  TableTile add_table(std::string name, std::uint32_t table);
  [[nodiscard]] std::uint64_t largest_block_elements() const;

  Graph graph_;
};

}  // namespace initrt
