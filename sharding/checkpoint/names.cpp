#include "sharding/checkpoint/names.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/names_gguf.h"
#include "sharding/checkpoint/names_hf.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// A new naming is a file of its own and a line here; the first that matches is used.
constexpr std::array kNamings = {
    Naming{"gguf", matches_gguf, translate_gguf, rotary_interleaved_gguf},
    Naming{"huggingface", matches_hf, translate_hf, rotary_interleaved_hf},
};

const Naming& naming_of(const Catalog& catalog) {
  for (const Naming& naming : kNamings) {
    if (naming.matches(catalog)) return naming;
  }
  return kNamings.back();  // its missing names are what the user should see
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::vector<std::uint64_t> shape_of(const Tensor& tensor) {
  if (tensor.vector) return {tensor.rows};
  return {tensor.rows, tensor.columns};
}

void check_shape(const Tensor& tensor, const TensorEntry& entry, const Catalog& catalog) {
  const std::vector<std::uint64_t> expected = shape_of(tensor);
  if (entry.shape == expected) return;
  fail("{}: tensor {} has shape {}, but the model config asks for {}",
       catalog.files[entry.parts.front().file].path, entry.name, shape_text(entry.shape),
       shape_text(expected));
}

RowRun whole_rows(std::uint32_t source, const Tensor& tensor) {
  RowRun run;
  run.source = source;
  run.rows = tensor.rows;
  run.columns = tensor.columns;
  return run;
}

// Head h's canonical row (half, i) is stored at row 2i + half of the head.
std::vector<RowRun> interleaved_rows(std::uint32_t source, const Tensor& tensor) {
  const std::uint64_t head_rows = tensor.rows / tensor.rotary_heads;
  const std::uint64_t half_rows = head_rows / 2;
  std::vector<RowRun> runs;
  for (std::uint64_t head = 0; head < tensor.rotary_heads; ++head) {
    for (std::uint64_t half = 0; half < 2; ++half) {
      RowRun run = whole_rows(source, tensor);
      run.row = head * head_rows + half * half_rows;
      run.rows = half_rows;
      run.source_row = head * head_rows + half;
      run.source_stride = 2;
      runs.push_back(run);
    }
  }
  return runs;
}

std::string missing_message(const std::vector<std::string>& missing, const Catalog& catalog,
                            bool all_names) {
  std::vector<std::string> present;
  for (const TensorEntry& entry : catalog.tensors) present.push_back(entry.name);
  const std::size_t shown = all_names ? missing.size() : std::min<std::size_t>(3, missing.size());
  std::string text = fmt::format("{}: {} tensor{} missing: ", catalog.path, missing.size(),
                                 missing.size() == 1 ? " is" : "s are");
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) text += ", ";
    text += missing[i];
    const std::string near = nearest(missing[i], present);
    if (!near.empty()) text += fmt::format(" (the nearest name is {})", quote(near));
  }
  if (shown < missing.size()) text += ", ... (all with --verbose)";
  return text;
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

}  // namespace

std::span<const Naming> namings() { return kNamings; }

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  std::string best;
  std::size_t best_distance = word.size() / 3 + 1;
  for (const std::string& candidate : candidates) {
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

Bindings bind(const Graph& graph, const Catalog& catalog, bool all_names) {
  const Naming& naming = naming_of(catalog);
  const bool interleaved = naming.rotary_interleaved(catalog);
  Bindings bindings;
  bindings.naming = naming.name;
  std::vector<std::string> missing;
  std::unordered_set<std::uint32_t> used;
  for (const Tensor& tensor : graph.tensors) {
    const std::string stored_name = naming.translate(tensor.name);
    const std::int64_t found = stored_name.empty() ? -1 : catalog.find(stored_name);
    Binding binding;
    if (found < 0) {
      missing.push_back(stored_name.empty() ? tensor.name : stored_name);
    } else {
      const auto source = static_cast<std::uint32_t>(found);
      check_shape(tensor, catalog.tensors[source], catalog);
      if (interleaved && tensor.rotary_heads > 0) {
        binding.runs = interleaved_rows(source, tensor);
      } else {
        binding.runs = {whole_rows(source, tensor)};
      }
      if (used.insert(source).second) bindings.payload_bytes += catalog.tensors[source].bytes();
    }
    bindings.tensors.push_back(std::move(binding));
  }
  if (!missing.empty()) throw Error(missing_message(missing, catalog, all_names));
  for (std::uint32_t i = 0; i < catalog.tensors.size(); ++i) {
    if (!used.contains(i)) bindings.unexpected.push_back(catalog.tensors[i].name);
  }
  return bindings;
}

}  // namespace initrt
