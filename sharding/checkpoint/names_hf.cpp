// Hugging Face names are the canonical ones: nothing to translate.
#include "sharding/checkpoint/names_hf.h"

namespace initrt {

bool matches_hf(const Catalog& catalog) {
  return catalog.find("model.embed_tokens.weight") >= 0 || catalog.find("model.norm.weight") >= 0;
}

std::string translate_hf(std::string_view canonical) { return std::string(canonical); }

bool rotary_interleaved_hf(const Catalog&) { return false; }

}  // namespace initrt
