// GGUF's names (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized tensor
// names"), and its storage order of rotary heads.
#pragma once

#include "sharding/checkpoint/names.h"

namespace initrt {

[[nodiscard]] bool matches_gguf(const Catalog& catalog);
[[nodiscard]] std::string translate_gguf(std::string_view canonical);
[[nodiscard]] bool rotary_interleaved_gguf(const Catalog& catalog);

}  // namespace initrt
