#include "runtime/start/tied_tables.h"

#include "runtime/values/tensor_values.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

bool is_stored_as_codes(const TensorEntry& entry) {
  return is_integer(entry.dtype) || has_8_bits_or_fewer(entry.dtype);
}

// The stored tensor that is all of a canonical one, if there is one and it is no codes.
const TensorEntry* entry_of(const OpenModel& model, std::string_view name) {
  for (std::size_t i = 0; i < model.graph.tensors.size(); ++i) {
    const std::vector<RowRun>& runs = model.bindings.tensors[i].runs;
    if (model.graph.tensors[i].name != name || runs.size() != 1) continue;
    if (model.bindings.tensors[i].quantized) return nullptr;
    return &model.catalog.tensors[runs.front().source];
  }
  return nullptr;
}

// How two tables of a catalog differ, as a sentence's end; "" where they hold the same.
std::string difference(Files& files, const Catalog& catalog, const Bindings::Twins& pair,
                       const std::function<void()>& alive) {
  const TensorEntry &used = catalog.tensors[pair.used], &other = catalog.tensors[pair.other];
  // Scales that are not the same make other numbers of the same codes.
  if (is_stored_as_codes(used)) return "is stored as codes";
  if (is_stored_as_codes(other)) return "is stored as numbers, the second as codes";
  if (used.shape != other.shape) {
    return fmt::format("has shape {} and {}", shape_text(used.shape), shape_text(other.shape));
  }
  if (used.dtype == other.dtype && used.parts == other.parts) return "";
  return files.ask(fmt::format("difference of {} and {}", used.name, other.name), [&] {
    ElementReader reader(catalog, alive);
    return first_difference(reader, list_stored(used, pair.used), reader,
                            list_stored(other, pair.other));
  });
}

}  // namespace

bool has_shared_tables(const OpenModel& model) {
  const TensorEntry* const embedding = entry_of(model, "model.embed_tokens.weight");
  const TensorEntry* const head = entry_of(model, "lm_head.weight");
  return embedding != nullptr && head != nullptr && embedding->dtype == head->dtype &&
         embedding->parts == head->parts;
}

std::string own_head(Files& files, const OpenModel& model, const std::function<void()>& alive) {
  for (const Bindings::Twins& pair : model.bindings.twins) {
    const std::string text = difference(files, model.catalog, pair, alive);
    if (text.empty()) continue;
    return fmt::format(
        "the config says that embedding and head are one table (tie_word_embeddings), but {} and "
        "{} "
        "are not (the first {}): both are used",
        quote(model.catalog.tensors[pair.used].name), quote(model.catalog.tensors[pair.other].name),
        text);
  }
  return "";
}

}  // namespace initrt
