#include "sharding/checkpoint/names/names_meta.h"

#include <array>

#include "sharding/checkpoint/names/canonical_name.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "tok_embeddings.weight"},
    NamePair{"model.norm.weight", "norm.weight"},
    NamePair{"lm_head.weight", "output.weight"},
};

constexpr std::array kInBlock = {
    NamePair{"input_layernorm", "attention_norm"}, NamePair{"self_attn.q_proj", "attention.wq"},
    NamePair{"self_attn.k_proj", "attention.wk"},  NamePair{"self_attn.v_proj", "attention.wv"},
    NamePair{"self_attn.o_proj", "attention.wo"},  NamePair{"post_attention_layernorm", "ffn_norm"},
    NamePair{"mlp.gate_proj", "feed_forward.w1"},  NamePair{"mlp.up_proj", "feed_forward.w3"},
    NamePair{"mlp.down_proj", "feed_forward.w2"},
};

}  // namespace

std::vector<std::string> meta_anchors(const Graph&) { return {"layers.0.attention.wq.weight"}; }

Stored locate_meta(const Tensor& canonical, const Graph&, const StoredNames&) {
  Stored stored;
  stored.name = translate({kGlobal, "layers.", kInBlock}, canonical.name);
  stored.rotary_interleaved = true;
  return stored;
}

}  // namespace initrt
