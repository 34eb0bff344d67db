// Which weights a job holds quantized, and how.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/layout.h"

namespace initrt {

/// What weights are quantized to while they stream; names are those of bitsandbytes' users.
enum class QuantizeMethod : std::uint8_t {
  None,
  Int8,    ///< "llm.int8"
  Nf4,     ///< "nf4"
  Fp4,     ///< "fp4"
  Nf4Dq,   ///< "nf4-dq": scales coded too
  Fp4Dq,   ///< "fp4-dq"
  Stored,  ///< "stored": GGUF's blocks as they are in the file
};

[[nodiscard]] std::string_view name(QuantizeMethod method);
[[nodiscard]] std::optional<QuantizeMethod> quantize_method_from_name(std::string_view name);

struct Quantization {
  QuantizeMethod method = QuantizeMethod::None;
  std::vector<std::string> skip;  ///< modules that stay in the precision: "down_proj", "layers.0"
  float outlier_threshold = 6.0f;
};

/// Quantized are the matrices of blocks and experts. Embeddings, norms, routers, biases and the
/// head stay in the precision; of Stored, which changes no value, embeddings and head are held as
/// they are stored too, and what is not stored in such blocks stays in the precision.
/// @throws Error where something to skip names no tensor, and for Stored where the checkpoint has
///         no blocks
[[nodiscard]] Holding choose_holding(const Graph& graph, const Bindings& bindings,
                                     const Catalog& catalog, const Quantization& quantization);

}  // namespace initrt
