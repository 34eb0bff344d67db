// The smallest model with a tensor of each place in it, and catalogs that hold it under any names.
#pragma once

#include <string>
#include <vector>

#include "sharding/checkpoint/names/names.h"
#include "tests/sharding/dense_entry.h"

namespace initrt::testing {

/// Embedding, final norm, head and one matrix of a block, all [8, 4].
inline Graph small_graph() {
  Graph graph;
  graph.heads = graph.kv_heads = graph.head_size = 1;
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
                           "model.layers.0.mlp.down_proj.weight"}) {
    graph.tensors.push_back({name, 8, 4, false, 0});
  }
  return graph;
}

/// Adds a tensor behind the others. catalog.finish() is for the caller.
inline void add_tensor(Catalog& catalog, const std::string& name, DType dtype,
                       const std::vector<std::uint64_t>& shape) {
  constexpr std::uint64_t kRoom = 4096;
  catalog.tensors.push_back(dense_entry(name, dtype, shape, 0, catalog.tensors.size() * kRoom));
  catalog.files = {{"model/file", (catalog.tensors.size() + 1) * kRoom}};
}

/// Tensors of F32 [8, 4].
inline Catalog catalog_of(const std::vector<std::string>& names) {
  Catalog catalog;
  catalog.path = "model";
  for (const std::string& name : names) add_tensor(catalog, name, DType::F32, {8, 4});
  catalog.finish();
  return catalog;
}

/// The stored name of what a graph's tensor is made of.
inline std::string source_of(const Bindings& bindings, const Catalog& catalog, std::size_t tensor) {
  return catalog.tensors[bindings.tensors[tensor].runs[0].source].name;
}

}  // namespace initrt::testing
