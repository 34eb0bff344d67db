// Small models of random shapes with a checkpoint of random bytes, in every storage dtype.
#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/checkpoint/names/names_gguf.h"
#include "sharding/graph.h"

namespace initrt::testing {

using Rng = std::mt19937_64;

inline std::uint64_t between(Rng& rng, std::uint64_t least, std::uint64_t most) {
  return least + rng() % (most - least + 1);
}

struct RandomModel {
  Graph graph;
  Catalog catalog;
  std::vector<std::vector<std::byte>> files;  ///< contents of Catalog::files
};

namespace detail {

inline std::uint32_t add_tensor(Graph& graph, std::string name, std::uint64_t rows,
                                std::uint64_t columns, std::uint32_t rotary_heads = 0) {
  graph.tensors.push_back({std::move(name), rows, columns, false, rotary_heads});
  return static_cast<std::uint32_t>(graph.tensors.size() - 1);
}

inline Unit block(Rng& rng, Graph& graph, int layer, std::uint64_t columns) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  Unit unit;
  unit.name = "block." + std::to_string(layer);
  const auto add = [&](const char* name, std::uint64_t rows, std::uint32_t heads) {
    unit.params.push_back({add_tensor(graph, prefix + name, rows, columns, heads), 0, rows});
  };
  const auto heads = static_cast<std::uint32_t>(between(rng, 1, 3));
  add("input_layernorm.weight", columns, 0);
  graph.tensors.back().vector = true;
  graph.tensors.back().columns = 1;
  add("self_attn.q_proj.weight", heads * 2 * between(rng, 1, 20), heads);
  add("self_attn.v_proj.weight", between(rng, 1, 40), 0);
  add("mlp.up_proj.weight", between(rng, 1, 100), 0);
  return unit;
}

/// The head's tiles of a few rows each; a tied table is also the embedding.
inline void add_head(Rng& rng, Graph& graph, std::uint32_t table) {
  const std::uint64_t rows = graph.tensors[table].rows;
  const std::uint64_t tile_rows = between(rng, 1, rows);
  for (std::uint64_t begin = 0; begin < rows; begin += tile_rows) {
    Unit unit;
    unit.name = "head." + std::to_string(begin / tile_rows);
    unit.kind = UnitKind::Head;
    unit.params.push_back({table, begin, std::min(tile_rows, rows - begin)});
    graph.units.push_back(unit);
  }
}

inline Graph graph(Rng& rng, std::uint64_t columns) {
  Graph graph;
  graph.vocabulary = between(rng, 1, 120);
  const std::uint32_t table =
      add_tensor(graph, "model.embed_tokens.weight", graph.vocabulary, columns);
  const bool tied = between(rng, 0, 1) == 1;
  if (!tied) {
    Unit unit;
    unit.name = "embedding";
    unit.kind = UnitKind::Embedding;
    unit.params.push_back({table, 0, graph.vocabulary});
    graph.units.push_back(unit);
  }
  const auto layers = static_cast<int>(between(rng, 1, 3));
  for (int layer = 0; layer < layers; ++layer) {
    graph.units.push_back(block(rng, graph, layer, columns));
  }
  add_head(rng, graph,
           tied ? table : add_tensor(graph, "lm_head.weight", graph.vocabulary, columns));
  return graph;
}

}  // namespace detail

/// Strides of a dense box whose dimensions are stored in this order, outermost first.
inline std::vector<std::uint64_t> strides_in_order(const std::vector<std::uint64_t>& shape,
                                                   const std::vector<std::size_t>& order) {
  std::vector<std::uint64_t> strides(shape.size());
  std::uint64_t step = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = step;
    step *= shape[order[i]];
  }
  return strides;
}

/// Stores a box of a plain tensor at the end of a random file: row by row, column by column, or
/// with gaps between its elements.
inline void add_box(Rng& rng, TensorEntry& entry, std::vector<std::uint64_t> begin,
                    std::vector<std::uint64_t> shape, std::vector<std::vector<std::byte>>& files) {
  TensorPart part;
  part.file = static_cast<std::uint32_t>(rng() % files.size());
  std::vector<std::byte>& file = files[part.file];
  file.resize(file.size() + between(rng, 0, 40));
  part.offset = file.size();
  std::vector<std::size_t> order(shape.size());
  for (std::size_t d = 0; d < order.size(); ++d) order[d] = d;
  if (between(rng, 0, 1) == 1) std::reverse(order.begin(), order.end());
  part.strides = strides_in_order(shape, order);
  if (const std::uint64_t gap = between(rng, 1, 3); gap < 3) {
    for (std::uint64_t& stride : part.strides) stride *= gap;
  }
  part.begin = std::move(begin);
  part.shape = std::move(shape);
  file.resize(file.size() + entry.extent_bytes(part));
  entry.parts.push_back(std::move(part));
}

/// Stores a plain tensor in one to three bands along a random dimension, each cut again or not.
inline void add_boxes(Rng& rng, TensorEntry& entry, std::vector<std::uint64_t> begin,
                      std::vector<std::uint64_t> shape, int cuts,
                      std::vector<std::vector<std::byte>>& files) {
  if (cuts == 0) {
    add_box(rng, entry, std::move(begin), std::move(shape), files);
    return;
  }
  const std::size_t d = rng() % shape.size();
  std::uint64_t left = shape[d];
  for (std::uint64_t band = between(rng, 1, 3); left > 0; --band) {
    shape[d] = band == 1 ? left : between(rng, 1, left);
    add_boxes(rng, entry, begin, shape, cuts - 1, files);
    begin[d] += shape[d];
    left -= shape[d];
    if (band == 1) break;
  }
}

/// A model whose matrices are of dtypes from `dtypes`, spread over one to three files in a random
/// order with gaps. `gguf`: GGUF's names, with rotary heads interleaved.
inline RandomModel random_model(Rng& rng, const std::vector<DType>& dtypes, bool gguf) {
  constexpr DType kPlain[] = {DType::F32, DType::BF16, DType::F16};
  RandomModel model;
  std::uint64_t block = 1;  // that the columns must be a multiple of
  for (const DType dtype : dtypes)
    block = std::max<std::uint64_t>(block, info(dtype).block_elements);
  model.graph = detail::graph(rng, block * between(rng, 1, block == 1 ? 70 : 3));
  model.catalog.format = gguf ? "gguf" : "safetensors";
  model.catalog.path = "model";
  if (gguf) model.catalog.metadata["general.architecture"] = "llama";
  model.files.resize(between(rng, 1, 3));
  std::vector<Tensor> order = model.graph.tensors;
  std::shuffle(order.begin(), order.end(), rng);
  for (const Tensor& tensor : order) {
    TensorEntry entry;
    entry.name =
        gguf ? locate_gguf(tensor, model.graph, StoredNames(model.catalog)).name : tensor.name;
    entry.dtype = tensor.vector ? kPlain[between(rng, 0, 2)] : dtypes[rng() % dtypes.size()];
    entry.shape = {tensor.rows};
    if (!tensor.vector) entry.shape.push_back(tensor.columns);
    TensorPart& part = entry.parts.emplace_back();
    part.file = static_cast<std::uint32_t>(rng() % model.files.size());
    std::vector<std::byte>& file = model.files[part.file];
    const bool far = between(rng, 0, 3) == 0;
    file.resize(file.size() + between(rng, 0, far ? 10'000 : 40));
    part.offset = file.size();
    file.resize(file.size() + entry.bytes());
    model.catalog.tensors.push_back(entry);
  }
  for (std::vector<std::byte>& file : model.files) {
    for (std::byte& byte : file) byte = static_cast<std::byte>(rng());
    model.catalog.files.push_back(
        {"file." + std::to_string(model.catalog.files.size()), file.size()});
  }
  model.catalog.finish();
  return model;
}

/// The same with plain tensors stored as people's frameworks do: views with strides, transposed
/// matrices, boxes spread over files.
inline RandomModel random_views(Rng& rng, const std::vector<DType>& dtypes, bool gguf) {
  RandomModel model = random_model(rng, dtypes, gguf);
  for (TensorEntry& entry : model.catalog.tensors) {
    if (info(entry.dtype).block_elements != 1) continue;
    entry.parts.clear();
    add_boxes(rng, entry, std::vector<std::uint64_t>(entry.shape.size(), 0), entry.shape,
              static_cast<int>(between(rng, 0, 2)), model.files);
  }
  for (std::size_t i = 0; i < model.files.size(); ++i) {
    for (std::byte& byte : model.files[i]) byte = static_cast<std::byte>(rng());
    model.catalog.files[i].bytes = model.files[i].size();
  }
  model.catalog.finish(SharedBytes::Allowed);
  return model;
}

}  // namespace initrt::testing
