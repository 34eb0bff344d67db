// A model config: the JSON of a config.json, and the graph that its family builds of it.
#include <cmath>

#include "runtime/model/family.h"
#include "sharding/checkpoint/checked_json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/graph_invariants.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

namespace {

constexpr std::size_t kMaxExperts = 32768;

void expect(bool holds, std::string_view what) {
  if (!holds) fuzz::finding(fmt::format("the graph is wrong in {}", what));
}

void expect_invariants(const Graph& graph) {
  for (const Tensor& tensor : graph.tensors) {
    std::uint64_t elements = 0;
    expect(tensor.rows > 0 && tensor.columns > 0 &&
               !__builtin_mul_overflow(tensor.rows, tensor.columns, &elements),
           "the shape of a tensor");
    expect(tensor.rotary_heads == 0 || tensor.rows % tensor.rotary_heads == 0, "rotary heads");
  }
  expect(graph.units.size() <= 2 + 4096 + kMaxExperts + 4096, "the number of units");
  for (const Unit& unit : graph.units) {
    expect(!unit.params.empty(), "a unit without parameters");
    for (const Param& param : unit.params) {
      expect(param.tensor < graph.tensors.size(), "a parameter's tensor");
      const std::uint64_t rows = graph.tensor_of(param).rows;
      expect(param.rows > 0 && param.row_begin <= rows && param.rows <= rows - param.row_begin,
             "a parameter's rows");
    }
    const std::string broken = testing::UnitInvariants(graph, unit).broken();
    expect(broken.empty(), broken);
  }
  std::uint64_t row = 0;
  for (const TableTile& tile : graph.embedding) {
    expect(tile.unit < graph.units.size(), "the unit of an embedding tile");
    const Unit& unit = graph.units[tile.unit];
    expect(tile.param < unit.params.size(), "the parameter of an embedding tile");
    expect(unit.params[tile.param].row_begin == row, "the order of embedding tiles");
    row += unit.params[tile.param].rows;
  }
  expect(row == graph.vocabulary, "the rows of the embedding");
  for (const RotarySpec& rotary : graph.rotary) {
    expect(rotary.dimensions > 0 && rotary.dimensions <= graph.head_size, "rotary dimensions");
    expect(rotary.frequencies.size() == rotary.dimensions / 2, "rotary frequencies");
    for (const float frequency : rotary.frequencies) {
      expect(std::isfinite(frequency), "a rotary frequency");
    }
  }
  expect(graph.head_size > 0 && graph.kv_heads > 0 && graph.heads % graph.kv_heads == 0, "heads");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string path = "config.json";
  testing::MemoryFiles files;
  files.content[path] = fuzz::text_of(data, bytes);
  nlohmann::json config;
  fuzz::one_input(path, [&] { config = read_json_object(files, path); });
  if (config.is_null()) return 0;
  return fuzz::one_input("", [&] { expect_invariants(build_graph(config)); });
}
