#include "sharding/checkpoint/names/names_gguf.h"

#include <array>

#include "sharding/checkpoint/names/canonical_name.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "token_embd.weight"},
    NamePair{"model.norm.weight", "output_norm.weight"},
    NamePair{"lm_head.weight", "output.weight"},
};

constexpr std::array kInBlock = {
    NamePair{"input_layernorm", "attn_norm"},    NamePair{"self_attn.q_proj", "attn_q"},
    NamePair{"self_attn.k_proj", "attn_k"},      NamePair{"self_attn.v_proj", "attn_v"},
    NamePair{"self_attn.o_proj", "attn_output"}, NamePair{"post_attention_layernorm", "ffn_norm"},
    NamePair{"mlp.gate_proj", "ffn_gate"},       NamePair{"mlp.up_proj", "ffn_up"},
    NamePair{"mlp.down_proj", "ffn_down"},
};

constexpr NameTable kTable{kGlobal, "blk.", kInBlock};

// The converters to GGUF interleave the halves for the "llama" architecture only (its graph rotates
// neighbouring pairs, GGML_ROPE_TYPE_NORM); other architectures keep the split halves.
bool is_interleaved(const Catalog& catalog) {
  const auto architecture = catalog.metadata.find("general.architecture");
  return architecture != catalog.metadata.end() && *architecture == "llama";
}

}  // namespace

std::vector<std::string> gguf_anchors(const Graph&) {
  return {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight"};
}

Stored locate_gguf(const Tensor& canonical, const Graph&, const Catalog& catalog) {
  Stored stored;
  stored.name = translate(kTable, canonical.name);
  stored.rotary_interleaved = is_interleaved(catalog);
  return stored;
}

}  // namespace initrt
