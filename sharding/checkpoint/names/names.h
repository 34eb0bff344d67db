// Names: which tensor of a checkpoint, and which of its rows, a canonical tensor is made of.
// One file per naming (Hugging Face, GGUF, Lit-GPT, ...). Whatever a naming does otherwise than the
// canonical order (interleaved rotary rows, fused matrices, column splits) is undone here, as
// strided runs of rows, and nothing after the binding knows about it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/stored_names.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"
#include "sharding/element_map.h"
#include "sharding/graph.h"

namespace initrt {

/// Canonical rows [row, row + rows), columns [column, column + columns) come from rows
/// source_row, source_row + source_stride, ... and columns from source_column of one catalog
/// tensor, or of its transpose.
struct RowRun {
  std::uint32_t source = 0;  ///< index into Catalog::tensors
  std::uint64_t row = 0, rows = 0;
  std::uint64_t source_row = 0, source_stride = 1;
  std::uint64_t column = 0, columns = 0;
  std::uint64_t source_column = 0;
  bool transposed = false;  ///< source rows are the catalog tensor's columns, and its columns rows
  ElementMap map = {};      ///< of each element
};

/// Where one canonical tensor comes from. Together the runs cover each element once.
struct Binding {
  std::vector<RowRun> runs;
  /// Where it is quantized, else null: runs then count in the rows and columns of this weight, and
  /// their source is the tensor of its codes.
  std::shared_ptr<const QuantizedWeight> quantized = nullptr;
};

/// Canonical rows [row, row + rows) that follow one another in a stored tensor from `stored_row`,
/// and begin there with its column `stored_column`.
struct StoredRows {
  std::uint64_t row = 0, rows = 0, stored_row = 0, stored_column = 0;
  std::uint64_t column = 0, columns = 0;  ///< that these are of the rows; 0: all
};

/// Where a naming has a canonical tensor.
struct Stored {
  std::string name;                 ///< of the stored tensor; "" where the naming has none
  std::uint64_t rows = 0;           ///< that it has, where others are fused with it; 0: no others
  std::vector<StoredRows> spans;    ///< empty: all rows, in order
  std::uint64_t row_step = 1;       ///< from one of a span's rows to the next where it is stored
  std::uint64_t columns = 0;        ///< as `rows`, where others' columns follow or precede
  bool rotary_interleaved = false;  ///< rotary heads have rows 2i and 2i + 1 for a pair of halves
  bool transposed = false;          ///< the stored matrix's columns are these rows
  ElementMap map = {};              ///< of each element
  bool stacked = false;  ///< the stored tensor is several matrices, [matrices, rows, columns]
  std::vector<std::uint64_t> shape = {};  ///< of the stored tensor, where that is no matrix
  /// > 0: it is so many stored tensors of as many rows each, whose names have a number for the "*".
  std::uint64_t pieces = 0;
};

/// One way of naming tensors.
struct Naming {
  std::string_view name;
  /// Names that checkpoints of this naming hold, the first that is there being enough to know it;
  /// what stands before it ("model.", "language_model.") stands before all names.
  std::vector<std::string> (*anchors)(const Graph& graph);
  Stored (*locate)(const Tensor& canonical, const Graph& graph, const StoredNames& names);
};

/// All namings, in the order in which they are tried.
[[nodiscard]] std::span<const Naming> namings();

struct Bindings {
  std::string naming;
  std::vector<Binding> tensors;         ///< as Graph::tensors
  std::vector<std::string> unexpected;  ///< tensors of the checkpoint that nothing uses
  std::uint32_t skipped = 0;            ///< others that nothing uses, but are known to be harmless
  std::uint64_t payload_bytes = 0;  ///< bytes of all tensors used, each counted once; scales too

  /// What the config calls the checkpoint's quantization, though all weights are plain; or "".
  std::string unused_quantization;

  /// Two tensors of the catalog, numbers or codes of them, of which the graph takes one to hold
  /// what the other does.
  struct Twins {
    std::uint32_t used = 0, other = 0;
  };
  std::vector<Twins> twins;
};

/// Binds every tensor of the graph.
/// @param all_names the message of a failure lists every missing tensor, not the first few
/// @throws UnfitCheckpoint for missing tensors (how many, which, where the index has them or the
///         nearest names, and files that are missing); Error for shapes that disagree with the
///         graph, and as find_quantized_tensors() (quantized.h)
[[nodiscard]] Bindings bind(const Graph& graph, const Catalog& catalog, bool all_names);

/// One line about the tensors that nothing uses: how many, and the first few or all of them.
[[nodiscard]] std::string describe_unexpected(const Bindings& bindings, bool all_names);

/// One line about a quantization in the config that the weights do not have.
[[nodiscard]] std::string describe_unused_quantization(const Bindings& bindings);

/// The candidate nearest to `word` by edit distance, or "" if none is near (a third of its length).
/// Candidates of more than 256 bytes are passed over.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace initrt
