#include "launch/tied_tables.h"

#include <algorithm>

namespace initrt {
namespace {

constexpr std::uint64_t kPlaces = 16, kPlaceBytes = 4096;

// The stored tensor that is all of a canonical one, if there is one.
const TensorEntry* entry_of(const OpenModel& model, std::string_view name) {
  for (std::size_t i = 0; i < model.graph.tensors.size(); ++i) {
    const std::vector<RowRun>& runs = model.bindings.tensors[i].runs;
    if (model.graph.tensors[i].name != name || runs.size() != 1) continue;
    return &model.catalog.tensors[runs.front().source];
  }
  return nullptr;
}

bool is_dense(const TensorEntry& tensor) {
  return tensor.parts.size() == 1 && tensor.parts.front().strides.empty();
}

bool have_same_values(Files& files, const Catalog& catalog, const TensorEntry& a,
                      const TensorEntry& b) {
  if (a.dtype != b.dtype || a.shape != b.shape) return false;
  if (a.parts == b.parts || !is_dense(a) || !is_dense(b)) return true;
  const auto read = [&](const TensorEntry& tensor, std::uint64_t begin, std::uint64_t bytes) {
    const TensorPart& part = tensor.parts.front();
    return files.read(catalog.files[part.file].path, part.offset + begin, bytes);
  };
  const std::uint64_t bytes = a.bytes();
  const std::uint64_t step = std::max(bytes / kPlaces, kPlaceBytes);
  for (std::uint64_t begin = 0; begin < bytes; begin += step) {
    const std::uint64_t some = std::min(kPlaceBytes, bytes - begin);
    if (read(a, begin, some) != read(b, begin, some)) return false;
  }
  return true;
}

}  // namespace

bool has_shared_tables(const OpenModel& model) {
  const TensorEntry* const embedding = entry_of(model, "model.embed_tokens.weight");
  const TensorEntry* const head = entry_of(model, "lm_head.weight");
  return embedding != nullptr && head != nullptr && embedding->dtype == head->dtype &&
         embedding->parts == head->parts;
}

bool has_own_head(Files& files, const OpenModel& model) {
  const std::vector<Bindings::Twins>& twins = model.bindings.twins;
  return std::any_of(twins.begin(), twins.end(), [&](const Bindings::Twins& pair) {
    return !have_same_values(files, model.catalog, model.catalog.tensors[pair.used],
                             model.catalog.tensors[pair.other]);
  });
}

}  // namespace initrt
