#include "sharding/quantization.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::array<std::pair<QuantizeMethod, std::string_view>, 7> kNames = {{
    {QuantizeMethod::None, "none"},
    {QuantizeMethod::Int8, "llm.int8"},
    {QuantizeMethod::Nf4, "nf4"},
    {QuantizeMethod::Fp4, "fp4"},
    {QuantizeMethod::Nf4Dq, "nf4-dq"},
    {QuantizeMethod::Fp4Dq, "fp4-dq"},
    {QuantizeMethod::Stored, "stored"},
}};

WeightFormat format_of(QuantizeMethod method) {
  switch (method) {
    case QuantizeMethod::Int8:
      return WeightFormat::Int8;
    case QuantizeMethod::Nf4:
      return WeightFormat::Nf4;
    case QuantizeMethod::Fp4:
      return WeightFormat::Fp4;
    case QuantizeMethod::Nf4Dq:
      return WeightFormat::Nf4Dq;
    case QuantizeMethod::Fp4Dq:
      return WeightFormat::Fp4Dq;
    default:
      return WeightFormat::Plain;
  }
}

bool makes_scores(const Unit& unit, const LinearOp& linear) {
  return std::any_of(unit.ops.begin(), unit.ops.end(), [&](const Op& op) {
    const auto* route = std::get_if<RouteOp>(&op);
    return route != nullptr && route->scores == linear.out;
  });
}

// By tensor: whether it is a matrix of a block or an expert, but for routers and those of groups.
std::vector<bool> matrices(const Graph& graph) {
  std::vector<bool> found(graph.tensors.size(), false);
  for (const Unit& unit : graph.units) {
    for (const Op& op : unit.ops) {
      const auto* linear = std::get_if<LinearOp>(&op);
      if (linear == nullptr || linear->groups > 1 || makes_scores(unit, *linear)) continue;
      found[unit.params[linear->weight].tensor] = true;
    }
  }
  return found;
}

// Whether whole components of a name, one after the other, are `part`.
bool has_components(std::string_view name, std::string_view part) {
  for (std::size_t at = name.find(part); at != std::string_view::npos;
       at = name.find(part, at + 1)) {
    const std::size_t end = at + part.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

// What is named and would stay in the precision anyway, such as lm_head, may be named.
void leave_out(const Graph& graph, const std::vector<std::string>& skip,
               std::vector<bool>& quantized) {
  for (const std::string& part : skip) {
    bool found = false;
    for (std::size_t i = 0; i < quantized.size(); ++i) {
      if (!has_components(graph.tensors[i].name, part)) continue;
      found = true;
      quantized[i] = false;
    }
    if (found) continue;
    fail("quantize.skip has {}, but no tensor of the model has this in its name; one of them is {}",
         quote(part), quote(graph.tensors.back().name));
  }
}

// The format that holds a tensor's blocks as they are stored.
WeightFormat format_stored(const Tensor& tensor, const Binding& binding, const Catalog& catalog) {
  std::optional<WeightFormat> format;
  for (const RowRun& run : binding.runs) {
    const DType dtype = catalog.tensors[run.source].dtype;
    const auto stored = stored_format(dtype);
    const std::uint32_t block = info(dtype).block_elements;
    const bool whole_blocks = run.source_column % block == 0 && run.column % block == 0 &&
                              run.columns % block == 0 && tensor.columns % block == 0;
    if (!stored || !whole_blocks || run.transposed || run.map.changes()) return WeightFormat::Plain;
    if (format && *format != *stored) return WeightFormat::Plain;
    format = stored;
  }
  return format.value_or(WeightFormat::Plain);
}

// Embedding and head besides.
void add_tables(const Graph& graph, std::vector<bool>& candidates) {
  for (const Unit& unit : graph.units) {
    for (const Op& op : unit.ops) {
      if (const auto* head = std::get_if<HeadOp>(&op)) {
        candidates[unit.params[head->weight].tensor] = true;
      }
    }
  }
  // Rows of several tables are decoded as one: they stay as they are.
  for (const TableTile& tile : graph.embedding) {
    candidates[graph.units[tile.unit].params[tile.param].tensor] = graph.further_tables.empty();
  }
}

std::vector<WeightFormat> formats_stored(const Graph& graph, const Bindings& bindings,
                                         const Catalog& catalog,
                                         const std::vector<bool>& candidates) {
  std::vector<WeightFormat> formats(graph.tensors.size(), WeightFormat::Plain);
  for (std::size_t i = 0; i < formats.size(); ++i) {
    if (candidates[i]) formats[i] = format_stored(graph.tensors[i], bindings.tensors[i], catalog);
  }
  if (std::all_of(formats.begin(), formats.end(),
                  [](WeightFormat format) { return format == WeightFormat::Plain; })) {
    fail(
        "{}: quantize is \"stored\", but no matrix is stored in blocks that can be computed with "
        "(GGUF's Q4_0, Q4_1, Q8_0, Q4_K, Q5_K and Q6_K); leave out quantize, or take \"llm.int8\" "
        "or \"nf4\"",
        catalog.path);
  }
  return formats;
}

}  // namespace

std::string_view name(QuantizeMethod method) {
  return kNames.at(static_cast<std::size_t>(method)).second;
}

std::optional<QuantizeMethod> quantize_method_from_name(std::string_view name) {
  for (const auto& [method, text] : kNames) {
    if (text == name) return method;
  }
  return std::nullopt;
}

Holding choose_holding(const Graph& graph, const Bindings& bindings, const Catalog& catalog,
                       const Quantization& quantization) {
  Holding holding;
  if (quantization.method == QuantizeMethod::None) return holding;
  std::vector<bool> quantized = matrices(graph);
  if (quantization.method == QuantizeMethod::Stored) add_tables(graph, quantized);
  leave_out(graph, quantization.skip, quantized);
  if (quantization.method == QuantizeMethod::Stored) {
    holding.formats = formats_stored(graph, bindings, catalog, quantized);
    return holding;
  }
  if (quantization.method == QuantizeMethod::Int8) {
    holding.outlier_threshold = quantization.outlier_threshold;
  }
  holding.formats.assign(graph.tensors.size(), WeightFormat::Plain);
  for (std::size_t i = 0; i < quantized.size(); ++i) {
    if (quantized[i]) holding.formats[i] = format_of(quantization.method);
  }
  return holding;
}

}  // namespace initrt
