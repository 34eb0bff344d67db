#include "runtime/model/graph_builder.h"

#include <algorithm>

#include "sharding/checked.h"

namespace initrt {
namespace {

// A config of a hundred bytes can ask for 2^24 rows beside the smallest of blocks.
constexpr std::uint64_t kMaxTiles = 4096;

}  // namespace

ActivationId GraphBuilder::activation(std::string name, std::uint64_t columns) {
  graph_.activations.push_back({std::move(name), columns});
  return static_cast<ActivationId>(graph_.activations.size() - 1);
}

std::uint32_t GraphBuilder::matrix(std::string name, std::uint64_t rows, std::uint64_t columns,
                                   std::uint32_t rotary_heads) {
  graph_.tensors.push_back({std::move(name), rows, columns, false, rotary_heads});
  return static_cast<std::uint32_t>(graph_.tensors.size() - 1);
}

std::uint32_t GraphBuilder::vector(std::string name, std::uint64_t rows,
                                   std::uint32_t rotary_heads) {
  graph_.tensors.push_back({std::move(name), rows, 1, true, rotary_heads});
  return static_cast<std::uint32_t>(graph_.tensors.size() - 1);
}

std::uint32_t GraphBuilder::heads(std::string name, std::uint32_t heads, std::uint64_t elements) {
  const std::uint32_t index = vector(std::move(name), heads * elements, heads);
  graph_.tensors[index].matrix_rows = heads;
  return index;
}

ParamId GraphBuilder::param(Unit& unit, std::uint32_t tensor) const {
  unit.params.push_back({tensor, 0, graph_.tensors[tensor].rows});
  return static_cast<ParamId>(unit.params.size() - 1);
}

TableTile GraphBuilder::add_table(std::string name, std::uint32_t table) {
  Unit unit;
  unit.name = std::move(name);
  unit.kind = UnitKind::Embedding;
  const TableTile tile{static_cast<std::uint32_t>(graph_.units.size()), param(unit, table)};
  graph_.units.push_back(std::move(unit));
  return tile;
}

void GraphBuilder::embedding(std::uint32_t table) {
  graph_.embedding = {add_table("embedding", table)};
}

void GraphBuilder::further_table(std::uint32_t table) {
  const std::string number = std::to_string(graph_.further_tables.size() + 1);
  graph_.further_tables.push_back(add_table("embedding." + number, table));
}

std::uint64_t GraphBuilder::largest_block_elements() const {
  std::uint64_t largest = 0;
  for (const Unit& unit : graph_.units) {
    if (unit.kind != UnitKind::Block && unit.kind != UnitKind::Expert) continue;
    std::uint64_t elements = 0;
    for (const Param& param : unit.params) elements += param.rows * graph_.tensor_of(param).columns;
    largest = std::max(largest, elements);
  }
  return largest;
}

void GraphBuilder::head(const HeadSpec& spec) {
  const Tensor& vocabulary = graph_.tensors[spec.table];
  const std::uint64_t norm_elements =
      graph_.tensors[spec.norm_weight].rows * (spec.norm_bias ? 2 : 1);
  const std::uint64_t largest = std::max(largest_block_elements(), norm_elements + 1);
  const std::uint64_t row_elements = vocabulary.columns + (spec.bias ? 1 : 0);
  const std::uint64_t rows_per_tile = std::max<std::uint64_t>(
      {1, (largest - norm_elements) / row_elements, divide_up(vocabulary.rows, kMaxTiles)});
  const std::uint64_t tiles = divide_up(vocabulary.rows, rows_per_tile);
  for (std::uint64_t tile = 0; tile < tiles; ++tile) {
    const std::uint64_t row_begin = tile * rows_per_tile;
    Unit unit;
    unit.name = "head." + std::to_string(tile);
    unit.kind = UnitKind::Head;
    if (tile == 0) {
      NormOp norm = spec.norm;
      norm.weight = param(unit, spec.norm_weight);
      if (spec.norm_bias) norm.bias = param(unit, *spec.norm_bias);
      unit.ops.emplace_back(norm);
      if (spec.scale != 1) unit.ops.emplace_back(ScaleOp{norm.out, spec.scale});
    }
    const auto place = [&](std::uint32_t tensor) {
      unit.params.push_back(
          {tensor, row_begin, std::min(rows_per_tile, vocabulary.rows - row_begin)});
      return static_cast<ParamId>(unit.params.size() - 1);
    };
    const ParamId weight = place(spec.table);
    HeadOp op{spec.norm.out, weight, row_begin, spec.softcap};
    if (spec.bias) op.bias = place(*spec.bias);
    unit.ops.emplace_back(op);
    if (spec.tied) graph_.embedding.push_back({static_cast<std::uint32_t>(tile), weight});
    graph_.units.push_back(std::move(unit));
  }
  if (spec.tied) {  // embedding rows are needed first: load these tiles first
    std::rotate(graph_.units.begin(), graph_.units.end() - static_cast<std::ptrdiff_t>(tiles),
                graph_.units.end());
    for (TableTile& table : graph_.further_tables) table.unit += static_cast<std::uint32_t>(tiles);
  }
}

}  // namespace initrt
