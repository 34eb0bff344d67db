// Lit-LLaMA has no config: what its tensors say.
#include <fmt/format.h>

#include "sharding/checkpoint/config/lit_config.h"
#include "sharding/checkpoint/config/llama_config.h"

namespace initrt {
namespace {

// The extent of a tensor's dimension. 0: it has no such dimension, or is not there
std::uint64_t extent(const Catalog& catalog, std::string_view name, std::size_t dimension) {
  const std::int64_t found = catalog.find(name);
  if (found < 0) return 0;
  const auto& shape = catalog.tensors[static_cast<std::size_t>(found)].shape;
  return dimension < shape.size() ? shape[dimension] : 0;
}

}  // namespace

nlohmann::json config_from_lit_llama(const Catalog& catalog) {
  constexpr std::uint64_t kHeadSize = 128;
  LlamaSizes sizes;
  sizes.vocabulary = extent(catalog, "transformer.wte.weight", 0);
  sizes.hidden = extent(catalog, "transformer.wte.weight", 1);
  sizes.intermediate = extent(catalog, "transformer.h.0.mlp.c_fc1.weight", 0);
  while (extent(catalog, fmt::format("transformer.h.{}.rms_1.scale", sizes.layers), 0) > 0) {
    ++sizes.layers;
  }
  if (sizes.vocabulary == 0 || sizes.intermediate == 0 || sizes.layers == 0 ||
      sizes.hidden % kHeadSize != 0) {
    return nullptr;
  }
  sizes.head_size = kHeadSize;
  sizes.heads = sizes.kv_heads = sizes.hidden / kHeadSize;
  sizes.context = 2048;
  sizes.epsilon = 1e-5;
  return llama_config(sizes);
}

}  // namespace initrt
