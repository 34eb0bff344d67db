#include "sharding/checkpoint/names_gguf.h"

#include <array>
#include <utility>

namespace initrt {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;  // canonical, GGUF

constexpr std::array kGlobal = {
    Pair{"model.embed_tokens.weight", "token_embd.weight"},
    Pair{"model.norm.weight", "output_norm.weight"},
    Pair{"lm_head.weight", "output.weight"},
};

constexpr std::array kInBlock = {
    Pair{"input_layernorm", "attn_norm"},    Pair{"self_attn.q_proj", "attn_q"},
    Pair{"self_attn.k_proj", "attn_k"},      Pair{"self_attn.v_proj", "attn_v"},
    Pair{"self_attn.o_proj", "attn_output"}, Pair{"post_attention_layernorm", "ffn_norm"},
    Pair{"mlp.gate_proj", "ffn_gate"},       Pair{"mlp.up_proj", "ffn_up"},
    Pair{"mlp.down_proj", "ffn_down"},
};

constexpr std::string_view kBlockPrefix = "model.layers.";

}  // namespace

bool matches_gguf(const Catalog& catalog) { return catalog.format == "gguf"; }

std::string translate_gguf(std::string_view canonical) {
  for (const auto& [from, to] : kGlobal) {
    if (canonical == from) return std::string(to);
  }
  if (!canonical.starts_with(kBlockPrefix)) return "";
  const std::string_view rest = canonical.substr(kBlockPrefix.size());  // "7.mlp.up_proj.weight"
  const std::size_t dot = rest.find('.');
  const std::size_t suffix = rest.rfind('.');
  if (dot == std::string_view::npos || suffix <= dot) return "";
  const std::string_view module = rest.substr(dot + 1, suffix - dot - 1);
  for (const auto& [from, to] : kInBlock) {
    if (module == from) {
      return "blk." + std::string(rest.substr(0, dot)) + "." + std::string(to) +
             std::string(rest.substr(suffix));
    }
  }
  return "";
}

bool rotary_interleaved_gguf(const Catalog& catalog) {
  // The converters to GGUF interleave the halves for the "llama" architecture only (its graph
  // rotates neighbouring pairs, GGML_ROPE_TYPE_NORM); other architectures keep the split halves.
  const auto architecture = catalog.metadata.find("general.architecture");
  return architecture != catalog.metadata.end() && *architecture == "llama";
}

}  // namespace initrt
