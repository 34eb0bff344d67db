#include "sharding/checkpoint/names/names.h"

#include <algorithm>
#include <charconv>
#include <deque>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/names/interleaved.h"
#include "sharding/checkpoint/names/naming_choice.h"
#include "sharding/checkpoint/names/quantized.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Whether a name is of a block behind the model's last one.
bool is_further_block(std::string_view name, std::uint32_t layers) {
  for (const std::string_view blocks : {"layers.", "blk."}) {
    const std::size_t at = name.find(blocks);
    if (at == std::string_view::npos || (at > 0 && name[at - 1] != '.')) continue;
    const std::string_view number = name.substr(at + blocks.size());
    std::uint32_t block = 0;
    const auto [end, error] = std::from_chars(number.begin(), number.end(), block);
    return error == std::errc() && end != number.end() && *end == '.' && block >= layers;
  }
  return false;
}

// Whether a name, or what follows one of its dots, begins so.
bool has_component_at(std::string_view name, std::string_view begin) {
  const std::size_t at = name.find(begin);
  return at != std::string_view::npos && (at == 0 || name[at - 1] == '.');
}

// Buffers that a program computes anew or the config was made of, what a training job keeps beside
// the model, and parts of it that text does not need.
bool is_harmless(std::string_view name, const Graph& graph) {
  const HfNames& names = graph.hf_names;
  if (names.further_blocks && is_further_block(name, graph.layers)) return true;
  for (const std::string_view begin : names.unread) {
    if (has_component_at(name, begin)) return true;
  }
  constexpr std::string_view kEnds[] = {"rotary_emb.inv_freq",
                                        "rope.freqs",
                                        "rope_cache",
                                        "rope_freqs.weight",
                                        "rope_factors_long.weight",
                                        "rope_factors_short.weight",
                                        "k_proj.k_scale",  // of a KV cache in eight bits
                                        "v_proj.v_scale"};
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_buffer = [&](std::string_view buffer) {  // behind the layer's number
    if (!name.ends_with(buffer)) return false;
    const std::string_view block = name.substr(0, name.size() - buffer.size());
    return block.size() > 1 && block.ends_with('.') && is_digit(block[block.size() - 2]);
  };
  const bool optimizer = name.starts_with("optim") || name.find(".optim") != std::string::npos;
  return optimizer ||
         std::any_of(std::begin(kEnds), std::end(kEnds),
                     [&](std::string_view end) { return name.ends_with(end); }) ||
         std::any_of(names.buffers.begin(), names.buffers.end(), is_buffer);
}

// The shape of matrices, or vectors, that lie behind one another, as of one.
std::vector<std::uint64_t> flattened(const std::vector<std::uint64_t>& shape) {
  std::uint64_t rows = 0;
  if (shape.size() < 2 || __builtin_mul_overflow(shape[0], shape[1], &rows)) return {};
  if (shape.size() == 2) return {rows};
  return shape.size() == 3 ? std::vector{rows, shape[2]} : std::vector<std::uint64_t>();
}

void check_shape(const Tensor& tensor, const Stored& stored, const TensorEntry& entry,
                 const Catalog& catalog) {
  std::vector<std::uint64_t> expected = tensor.shape();
  if (stored.rows != 0) expected.front() = stored.rows;
  if (stored.columns != 0) expected.back() = stored.columns;
  if (stored.transposed) std::reverse(expected.begin(), expected.end());
  if ((stored.transposed || stored.map.changes()) && info(entry.dtype).block_elements > 1) {
    fail("{}: tensor {} is {}: expected a dtype without blocks",
         catalog.files[entry.parts.front().file].path, quote(entry.name), name(entry.dtype));
  }
  if (entry.shape == expected) return;
  if (stored.stacked && flattened(entry.shape) == expected) return;
  if (entry.shape == std::vector<std::uint64_t>{0}) {
    fail(
        "{}: tensor {} is empty: DeepSpeed's ZeRO-3 has left its values in other files; its "
        "zero_to_fp32.py puts them together",
        catalog.files[entry.parts.front().file].path, quote(entry.name));
  }
  fail("{}: tensor {} has shape {}, but the model config asks for {}",
       catalog.files[entry.parts.front().file].path, quote(entry.name), shape_text(entry.shape),
       shape_text(expected));
}

Binding bind_rows(const Tensor& tensor, const Stored& stored, std::uint32_t source) {
  const std::vector<StoredRows> all = {{0, tensor.rows, 0}};
  RowRun whole;
  whole.source = source;
  whole.source_stride = stored.row_step;
  whole.transposed = stored.transposed;
  whole.map = stored.map;
  Binding binding;
  for (const StoredRows& span : stored.spans.empty() ? all : stored.spans) {
    whole.column = span.column;
    whole.columns = span.columns == 0 ? tensor.columns : span.columns;
    whole.source_column = span.stored_column;
    if (stored.rotary_interleaved && tensor.rotary_heads > 0) {
      add_interleaved_rows(span, whole, tensor, binding.runs);
    } else {
      whole.row = span.row;
      whole.rows = span.rows;
      whole.source_row = span.stored_row;
      binding.runs.push_back(whole);
    }
  }
  return binding;
}

// A vector of which each piece is a stored tensor.
Binding bind_pieces(const Tensor& tensor, const Located& located, const Catalog& catalog) {
  Tensor piece = tensor;
  piece.rows /= located.pieces.size();
  piece.matrix_rows = 0;
  Binding binding;
  for (const std::uint32_t source : located.pieces) {
    check_shape(piece, {}, catalog.tensors[source], catalog);
    const std::uint64_t row = binding.runs.size() * piece.rows;
    binding.runs.push_back({.source = source, .row = row, .rows = piece.rows, .columns = 1});
  }
  return binding;
}

// Which files of the checkpoint are not there, or "".
std::string absent_files_text(const Catalog& catalog) {
  const std::vector<std::string>& names = catalog.absent_files;
  if (names.empty()) return "";
  const std::uint64_t count = names.size() + catalog.more_absent_files;
  const std::size_t shown = std::min<std::size_t>(3, names.size());
  std::string text = count == 1 ? "; a file is not there, download it: "
                                : fmt::format("; {} files are not there, download them: ", count);
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + quote(names[i]);
  return text + (shown < count ? ", ..." : "");
}

std::string missing_message(const std::vector<std::string>& missing, const Catalog& catalog,
                            bool all_names) {
  std::vector<std::string> present;
  present.reserve(catalog.tensors.size());
  for (const TensorEntry& entry : catalog.tensors) present.push_back(entry.name);
  const std::size_t shown = all_names ? missing.size() : std::min<std::size_t>(3, missing.size());
  std::string text = fmt::format("{}: {} tensor{} missing: ", catalog.path, missing.size(),
                                 missing.size() == 1 ? " is" : "s are");
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) text += ", ";
    text += quote(missing[i]);
    if (const auto placed = catalog.absent_tensors.find(missing[i]);
        placed != catalog.absent_tensors.end()) {
      text += fmt::format(" (should be in {})", quote(placed->second));
      continue;
    }
    if (!catalog.absent_files.empty()) continue;  // it is likely to be there
    const std::string near = nearest(missing[i], present);
    if (!near.empty()) text += fmt::format(" (the nearest name is {})", quote(near));
  }
  if (shown < missing.size()) text += ", ... (all with --verbose)";
  return text + absent_files_text(catalog);
}

// The edit distance of a and b, or any number from `limit` on where it is that large.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
    if (const auto least = *std::min_element(row.begin(), row.end()); least >= limit) return least;
  }
  return row[b.size()];
}

// All of the graph's tensors. @param not_needed gets those that others hold the values of
std::vector<Located> locate_all(const Graph& graph, const Naming& naming, const StoredNames& names,
                                std::vector<Bindings::Twins>& twins,
                                std::vector<bool>& not_needed) {
  std::vector<Located> all;
  all.reserve(graph.tensors.size());
  for (const Tensor& tensor : graph.tensors) {
    Located located = locate(tensor, tensor.name, graph, naming, names);
    for (const std::string& alias : tensor.aliases) {
      Located other = locate(tensor, alias, graph, naming, names);
      if (!other.is_there()) continue;
      not_needed[other.entry()] = true;
      if (!located.is_there()) {
        located = std::move(other);
      } else {
        twins.push_back({located.entry(), other.entry()});
      }
    }
    if (located.stored.name.empty()) located.stored.name = tensor.name;
    all.push_back(std::move(located));
  }
  return all;
}

// A tensor as it is needed. One that is moved or several in one, or of columns in another order, is
// not read quantized. @param made gets the names that are no tensor's
NeededTensor needed_tensor(const Graph& graph, const Tensor& tensor, const Located& located,
                           const StoredNames& names, std::deque<std::string>& made) {
  const Stored& stored = located.stored;
  NeededTensor needed;
  needed.found = located.found;
  const bool apart = !stored.stacked || located.codes >= 0;
  const bool in_order = std::none_of(stored.spans.begin(), stored.spans.end(),
                                     [](const StoredRows& span) { return span.columns > 0; });
  if (!tensor.vector && apart && in_order && !stored.map.changes()) {
    needed.rows = stored.rows == 0 ? tensor.rows : stored.rows;
    needed.columns = stored.columns == 0 ? tensor.columns : stored.columns;
    if (stored.transposed && !graph.hf_names.transposed) std::swap(needed.rows, needed.columns);
  }
  if (located.found >= 0) {
    needed.name = names.name(static_cast<std::uint32_t>(located.found));
  } else if (located.codes >= 0) {  // whose prefix may be another's
    const std::string& codes = names.name(static_cast<std::uint32_t>(located.codes));
    needed.name = made.emplace_back(weight_of_codes(codes));
  } else {
    needed.name = made.emplace_back(names.prefix() + stored.name);
  }
  return needed;
}

// Finds the weights that are quantized. @throws for those that are so in a way that is not read,
// and for tensors that are missing
QuantizedTensors check_found(const Graph& graph, const std::vector<Located>& located,
                             const Catalog& catalog, const StoredNames& names, bool all_names) {
  std::vector<NeededTensor> needed;
  needed.reserve(located.size());
  std::deque<std::string> made;
  std::vector<std::string> missing;
  bool head = true;  // nothing else is missing
  for (std::size_t i = 0; i < located.size(); ++i) {
    needed.push_back(needed_tensor(graph, graph.tensors[i], located[i], names, made));
    if (!located[i].is_there()) {
      missing.emplace_back(needed.back().name);
      head = head && graph.tensors[i].name == "lm_head.weight" && catalog.absent_files.empty();
    }
  }
  QuantizedTensors quantized = find_quantized_tensors(catalog, names, needed);
  if (missing.empty()) return quantized;
  const std::string said = quantization_of(catalog.config);
  throw UnfitCheckpoint(
      missing_message(missing, catalog, all_names) +
          (head ? "; a model that was saved without its head has none, unless its config says "
                  "tie_word_embeddings"
                : "") +
          (said.empty() ? "" : fmt::format(" (the config says it is quantized: {})", quote(said))),
      fmt::format("{} of the model's tensors {} missing{}", missing.size(),
                  missing.size() == 1 ? "is" : "are", absent_files_text(catalog)));
}

// A GGUF file has no key that says which layers have biases: they are added where they are stored.
// Source: llama.cpp, src/llama-model.cpp. One that the family does not read would be left out
// silently.
void refuse_bias(const Catalog& catalog, std::uint32_t index, const std::vector<bool>& used) {
  constexpr std::string_view kBias = ".bias";
  std::string_view module = catalog.tensors[index].name;
  if (!module.ends_with(kBias)) return;
  module.remove_suffix(kBias.size());
  std::int64_t weight = catalog.find(std::string(module) + ".weight");
  if (weight < 0 && module == "output") weight = catalog.find("token_embd.weight");  // tied
  if (weight < 0 || !used[static_cast<std::size_t>(weight)]) return;
  fail("{}: {} is the bias of a weight that has none in this model family as it is known here",
       catalog.path, quote(catalog.tensors[index].name));
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  std::string best;
  std::size_t best_distance = word.size() / 3 + 1;
  constexpr std::size_t kMaxCompared = 256;  // the time grows with the product of the lengths
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kMaxCompared) continue;
    const std::size_t longer = std::max(word.size(), candidate.size());
    if (longer - std::min(word.size(), candidate.size()) >= best_distance) continue;
    const std::size_t distance = edit_distance(word, candidate, best_distance);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string describe_unexpected(const Bindings& bindings, bool all_names) {
  const std::vector<std::string>& names = bindings.unexpected;
  const std::size_t shown = all_names ? names.size() : std::min<std::size_t>(3, names.size());
  std::string text = fmt::format("{} tensor{} not used by this model: ", names.size(),
                                 names.size() == 1 ? " is" : "s are");
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + quote(names[i]);
  if (shown < names.size()) text += ", ... (all with --verbose)";
  return text;
}

std::string describe_unused_quantization(const Bindings& bindings) {
  return fmt::format(
      "the config says that the checkpoint is quantized ({}), but its weights are plain numbers "
      "and "
      "read as such",
      quote(bindings.unused_quantization));
}

Bindings bind(const Graph& graph, const Catalog& catalog, bool all_names) {
  StoredNames names(catalog);
  const Naming& naming = naming_of(graph, catalog, names);
  Bindings bindings;
  bindings.naming = naming.name;
  std::vector<bool> not_needed(catalog.tensors.size(), false), used = not_needed;
  const std::vector<Located> located = locate_all(graph, naming, names, bindings.twins, not_needed);
  QuantizedTensors quantized = check_found(graph, located, catalog, names, all_names);
  for (const std::uint32_t other : quantized.others) not_needed[other] = true;
  const auto use = [&](std::uint32_t source) {
    if (!used[source]) bindings.payload_bytes += catalog.tensors[source].bytes();
    used[source] = true;
  };
  const std::vector<PartlyRotated> partly = partly_rotated_heads(graph);
  bool plain = true;
  bindings.tensors.reserve(located.size());
  for (std::size_t i = 0; i < located.size(); ++i) {
    std::shared_ptr<const QuantizedWeight>& codes = quantized.weights[i];
    if (!codes && located[i].found < 0) {
      fail("{}: {} is there as codes alone", catalog.path, quote(graph.tensors[i].name));
    }
    if (!located[i].pieces.empty()) {
      bindings.tensors.push_back(bind_pieces(graph.tensors[i], located[i], catalog));
      for (const std::uint32_t piece : located[i].pieces) use(piece);
      continue;
    }
    const auto source =
        codes ? codes->components.front().tensor : static_cast<std::uint32_t>(located[i].found);
    if (!codes) check_shape(graph.tensors[i], located[i].stored, catalog.tensors[source], catalog);
    if (located[i].stored.rotary_interleaved && graph.tensors[i].rotary_heads > 0) {
      check_rotated_whole(graph.tensors[i], partly, naming.name, catalog, catalog.tensors[source]);
    }
    Stored stored = located[i].stored;
    // Who quantizes a Conv1D, [in, out], makes a Linear of it.
    if (codes && graph.hf_names.transposed) stored.transposed = false;
    bindings.tensors.push_back(bind_rows(graph.tensors[i], stored, source));
    use(source);
    if (!codes) continue;
    plain = false;
    for (const QuantComponent& component : codes->components) use(component.tensor);
    bindings.tensors.back().quantized = std::move(codes);
  }
  if (plain) bindings.unused_quantization = quantization_of(catalog.config);
  for (std::uint32_t i = 0; i < catalog.tensors.size(); ++i) {
    if (used[i]) continue;
    if (not_needed[i] || is_harmless(names.name(i), graph)) {
      ++bindings.skipped;
    } else {
      if (bindings.naming == "gguf") refuse_bias(catalog, i, used);
      bindings.unexpected.push_back(catalog.tensors[i].name);
    }
  }
  return bindings;
}

}  // namespace initrt
