// Hugging Face's names: the canonical ones.
#pragma once

#include "sharding/checkpoint/names.h"

namespace initrt {

[[nodiscard]] bool matches_hf(const Catalog& catalog);
[[nodiscard]] std::string translate_hf(std::string_view canonical);
[[nodiscard]] bool rotary_interleaved_hf(const Catalog& catalog);

}  // namespace initrt
