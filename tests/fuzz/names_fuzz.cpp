// Names and shapes of a checkpoint, bound to the graph of a model config and planned for reading.
// Quantized weights are made numbers, of bytes that are made up, in memory that ends where they do.
// The input is a config.json on one line, then a line for each tensor: name, dtype, extents, mark.
#include <array>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "runtime/convert/dequantize.h"
#include "runtime/model/family.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/layout.h"
#include "sharding/quantization.h"
#include "sharding/read_plan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/one_line.h"

using namespace initrt;

namespace {

constexpr std::uint64_t kMaxElements = 1u << 16;  // of a model whose reads are planned
constexpr std::uint64_t kMaxReadBytes = 4096;

void expect(bool holds, std::string_view what) {
  if (!holds) fuzz::finding(fmt::format("the plan is wrong in {}", what));
}

// The graph's tensors hold no more elements than kMaxElements.
bool is_small(const Graph& graph) {
  std::uint64_t elements = 0;
  for (const Tensor& tensor : graph.tensors) {
    elements += std::min(tensor.elements(), kMaxElements + 1);
    if (elements > kMaxElements) return false;
  }
  return true;
}

// An extent: a number, or letters that stand for the model's own, which are added: QKK.
std::uint64_t extent_of(const std::string& word, const Graph& graph) {
  constexpr std::array<std::pair<char, std::string_view>, 4> kActivations = {
      {{'H', "hidden"}, {'Q', "q"}, {'K', "k"}, {'F', "gate"}}};
  if (word.find_first_not_of("0123456789") == std::string::npos) {
    return std::strtoull(word.c_str(), nullptr, 10);
  }
  std::uint64_t sum = 0;
  for (const char letter : word) {
    if (letter == 'V') sum += graph.vocabulary;
    for (const auto& [activation, name] : kActivations) {
      if (activation != letter) continue;
      for (const Activation& candidate : graph.activations) {
        if (candidate.name == name) sum += candidate.columns;
      }
    }
  }
  return sum;
}

class Builder {
 public:
  explicit Builder(const Graph& graph) : graph_(graph) {
    catalog_.path = "d";
    catalog_.files = {{"d/a", 0}, {"d/b", 0}};
  }

  void add(const std::string& line) {
    std::istringstream words(line);
    TensorEntry tensor;
    std::string dtype, word;
    words >> tensor.name >> dtype;
    tensor.dtype = dtype_from_name(dtype).value_or(DType::BF16);
    char mark = ' ';
    while (words >> word) {
      if (word == "T" || word == "R" || word == "C") {
        mark = word.front();
      } else {
        tensor.shape.push_back(extent_of(word, graph_));
      }
    }
    if (tensor.shape.size() != 2) mark = ' ';
    if (mark == 'R' || mark == 'C') {
      cut(tensor, mark == 'R' ? 0 : 1);
    } else {
      place(tensor, 0, {}, {});
      if (mark == 'T') tensor.parts.front().strides = {1, tensor.shape[0]};
    }
    catalog_.tensors.push_back(std::move(tensor));
  }

  Catalog finish() {
    catalog_.finish(SharedBytes::Allowed);
    return std::move(catalog_);
  }

 private:
  void place(TensorEntry& tensor, std::uint32_t file, std::vector<std::uint64_t> begin,
             std::vector<std::uint64_t> shape) {
    CheckpointFile& in = catalog_.files[file];
    TensorPart part{file, in.bytes, std::move(begin), std::move(shape), {}};
    const std::uint64_t end = in.bytes + tensor.extent_bytes(part);
    if (end < in.bytes) fail("d: a file of more bytes than 64 bits count");
    in.bytes = end;
    tensor.parts.push_back(std::move(part));
  }

  // In two boxes, one in each file.
  void cut(TensorEntry& tensor, std::size_t along) {
    std::vector<std::uint64_t> begin = {0, 0}, shape = tensor.shape;
    shape[along] /= 2;
    place(tensor, 0, begin, shape);
    begin[along] = shape[along];
    shape[along] = tensor.shape[along] - begin[along];
    place(tensor, 1, begin, shape);
  }

  const Graph& graph_;
  Catalog catalog_;
};

void check_reads(const UnitReads& plan, const Catalog& catalog, const Cut& cut) {
  std::uint32_t pieces = 0;
  // What a read's pieces may write to: the shard, or its batch's rows.
  std::vector<std::uint64_t> rooms(plan.reads.size(), 0);
  for (const ReadTask& task : plan.tasks) {
    expect(task.first_read <= rooms.size() && task.reads <= rooms.size() - task.first_read,
           "the reads of a task");
    const std::uint64_t room =
        task.batch ? task.batch->rows * task.batch->row_bytes() : cut.memory_bytes();
    expect(room <= kMaxReadBytes || !task.batch, "the rows of a batch");
    std::fill_n(rooms.begin() + task.first_read, task.reads, room);
  }
  for (std::size_t i = 0; i < plan.reads.size(); ++i) {
    const Read& read = plan.reads[i];
    expect(read.file < catalog.files.size(), "the file of a read");
    const std::uint64_t room = catalog.files[read.file].bytes;
    expect(read.offset <= room && read.bytes <= room - read.offset, "a read past its file's end");
    expect(read.bytes <= kMaxReadBytes, "the bytes of a read");
    expect(read.first_piece == pieces && read.pieces <= plan.pieces.size() - pieces, "its pieces");
    pieces += read.pieces;
    for (const Piece& piece : std::span(plan.pieces).subspan(read.first_piece, read.pieces)) {
      expect(piece.elements > 0, "an empty piece");
      expect(piece.offset >= read.offset && piece.bytes <= read.bytes &&
                 piece.offset - read.offset <= read.bytes - piece.bytes,
             "a piece outside of its read");
      const std::uint64_t last = (piece.elements - 1) * piece.destination_step;
      expect(piece.destination + bytes_of(piece.to, last + 1) <= rooms[i],
             "a piece outside of the shard");
    }
  }
  expect(pieces == plan.pieces.size(), "pieces of no read");
}

// All ranks together read each element of the units once.
void check_world(const Graph& graph, const Bindings& bindings, const Catalog& catalog,
                 std::uint32_t world, std::string_view precision,
                 QuantizeMethod quantize = QuantizeMethod::None) {
  const Layout layout = make_layout(graph, *precision_from_name(precision),
                                    choose_holding(graph, bindings, catalog, {quantize, {}, 6.0f}));
  const Cut cut = make_cut(layout, world);
  std::uint64_t expected = 0, read = 0;
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    for (const Param& param : graph.units[unit].params) {
      expected += param.rows * graph.tensor_of(param).columns;
    }
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      const UnitReads plan = plan_reads(graph, layout, cut, bindings, catalog, unit, rank,
                                        {kMaxReadBytes, kMaxReadBytes, kMaxReadBytes});
      check_reads(plan, catalog, cut);
      for (const Piece& piece : plan.pieces) read += piece.elements;
    }
  }
  expect(read == expected, "the number of elements read");
}

void check_box(const SourceBox& box, const Catalog& catalog) {
  expect(box.tensor < catalog.tensors.size(), "the tensor of a box");
  const TensorEntry& tensor = catalog.tensors[box.tensor];
  const std::uint64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  const std::uint64_t rows = tensor.elements() / std::max<std::uint64_t>(1, columns);
  expect(box.dtype == tensor.dtype, "the dtype of a box");
  expect(box.column <= columns && box.columns <= columns - box.column, "the columns of a box");
  expect(box.row <= rows && box.rows <= rows - box.row, "the rows of a box");
}

// What bitsandbytes would write of a weight, where it fits.
void make_state(const QuantizedWeight& weight, std::vector<std::byte>& content) {
  const std::string state =
      fmt::format(R"({{"blocksize":{},"shape":[{},{}],"nested_blocksize":{},"nested_offset":0.5}})",
                  weight.block_columns, weight.rows, weight.columns, weight.nested_block);
  if (state.size() > content.size()) return;
  content.assign(content.size(), std::byte{' '});
  std::memcpy(content.data(), state.data(), state.size());
}

void check_part(const QuantizedWeight& weight, const Catalog& catalog, const WeightPart& part,
                std::uint32_t& random) {
  std::vector<std::vector<std::byte>> bytes;
  for (const SourceBox& box : source_boxes(weight, part)) {
    check_box(box, catalog);
    std::vector<std::byte>& content = bytes.emplace_back(box.bytes());
    const bool small = random % 5 != 0;  // so that there are groups and scales of that number
    for (std::size_t i = 0; i < content.size(); ++i) {
      random = random * 1664525u + 1013904223u;
      content[i] = static_cast<std::byte>(small && i % 4 != 0 ? 0 : random >> 24 & 63);
    }
    const QuantRole role = weight.components[bytes.size() - 1].role;
    if (role == QuantRole::State) make_state(weight, content);
    if (role == QuantRole::RowFormat) content.assign(content.size(), {});
  }
  const std::vector<std::span<const std::byte>> spans(bytes.begin(), bytes.end());
  std::vector<float> out(part.rows * part.columns);
  try {
    Dequantizer(weight, part, spans).make(part.row, part.rows, out.data());
  } catch (const Error& error) {
    expect(testing::is_one_line(error.what()), "the error of a weight");
  }
}

void check_quantized(const QuantizedWeight& weight, const Catalog& catalog) {
  constexpr std::uint64_t kBatch = 3;
  std::uint32_t random = 1;
  for (std::uint64_t first = 0; first < weight.rows; first += kBatch) {
    const std::uint64_t rows = std::min(kBatch, weight.rows - first);
    check_part(weight, catalog, whole_rows(weight, first, rows), random);
  }
  const std::uint64_t step = kBatch * weight.column_step();
  for (std::uint64_t first = 0; step > 0 && first < weight.columns; first += step) {
    check_part(weight, catalog, {0, weight.rows, first, std::min(step, weight.columns - first)},
               random);
  }
}

void check_checkpoint(const Graph& graph, std::istream& lines) {
  Builder builder(graph);
  for (std::string line; std::getline(lines, line);) builder.add(line);
  const Catalog catalog = builder.finish();
  const Bindings bindings = bind(graph, catalog, false);
  expect(testing::is_one_line(describe_unexpected(bindings, true)), "the unexpected names");
  expect(bindings.tensors.size() == graph.tensors.size(), "the number of bindings");
  bool plain = true;
  for (const Binding& binding : bindings.tensors) {
    if (!binding.quantized) continue;
    check_quantized(*binding.quantized, catalog);
    plain = false;
  }
  if (!plain) return;
  check_world(graph, bindings, catalog, 1, "32-true");
  check_world(graph, bindings, catalog, 3, "bf16-true");
  check_world(graph, bindings, catalog, 2, "bf16-true", QuantizeMethod::Int8);
  check_world(graph, bindings, catalog, 3, "16-true", QuantizeMethod::Nf4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  std::istringstream lines(fuzz::text_of(data, bytes));
  std::string config;
  std::getline(lines, config);
  return fuzz::one_input("", [&] {
    const Graph graph = build_graph(parse_json(config, "config.json"));
    if (is_small(graph)) check_checkpoint(graph, lines);
  });
}
