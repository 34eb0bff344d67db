// The families that there are. Adding one is a file in this folder, and two lines here.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "runtime/model/family.h"

namespace initrt {

[[nodiscard]] Graph build_bloom(const nlohmann::json& config);
[[nodiscard]] Graph build_cohere(const nlohmann::json& config);
[[nodiscard]] Graph build_cohere2(const nlohmann::json& config);
[[nodiscard]] Graph build_deepseek_v3(const nlohmann::json& config);
[[nodiscard]] Graph build_ernie4_5(const nlohmann::json& config);
[[nodiscard]] Graph build_exaone4(const nlohmann::json& config);
[[nodiscard]] Graph build_falcon(const nlohmann::json& config);
[[nodiscard]] Graph build_gemma(const nlohmann::json& config);
[[nodiscard]] Graph build_gemma2(const nlohmann::json& config);
[[nodiscard]] Graph build_gemma3(const nlohmann::json& config);
[[nodiscard]] Graph build_gemma4(const nlohmann::json& config);
[[nodiscard]] Graph build_glm4_moe(const nlohmann::json& config);
[[nodiscard]] Graph build_glm4_moe_lite(const nlohmann::json& config);
[[nodiscard]] Graph build_gpt2(const nlohmann::json& config);
[[nodiscard]] Graph build_gpt_neox(const nlohmann::json& config);
[[nodiscard]] Graph build_gpt_oss(const nlohmann::json& config);
[[nodiscard]] Graph build_granite(const nlohmann::json& config);
[[nodiscard]] Graph build_granitemoe(const nlohmann::json& config);
[[nodiscard]] Graph build_granitemoehybrid(const nlohmann::json& config);
[[nodiscard]] Graph build_granitemoeshared(const nlohmann::json& config);
[[nodiscard]] Graph build_hunyuan_v1_dense(const nlohmann::json& config);
[[nodiscard]] Graph build_llama(const nlohmann::json& config);
[[nodiscard]] Graph build_llama4(const nlohmann::json& config);
[[nodiscard]] Graph build_minimax_m2(const nlohmann::json& config);
[[nodiscard]] Graph build_ministral3(const nlohmann::json& config);
[[nodiscard]] Graph build_mistral(const nlohmann::json& config);
[[nodiscard]] Graph build_mixtral(const nlohmann::json& config);
[[nodiscard]] Graph build_nemotron_h(const nlohmann::json& config);
[[nodiscard]] Graph build_olmo2(const nlohmann::json& config);
[[nodiscard]] Graph build_olmo3(const nlohmann::json& config);
[[nodiscard]] Graph build_phi(const nlohmann::json& config);
[[nodiscard]] Graph build_phi3(const nlohmann::json& config);
[[nodiscard]] Graph build_qwen2(const nlohmann::json& config);
[[nodiscard]] Graph build_qwen3(const nlohmann::json& config);
[[nodiscard]] Graph build_qwen3_5(const nlohmann::json& config);
[[nodiscard]] Graph build_qwen3_5_moe(const nlohmann::json& config);
[[nodiscard]] Graph build_qwen3_moe(const nlohmann::json& config);
[[nodiscard]] Graph build_qwen3_next(const nlohmann::json& config);
[[nodiscard]] Graph build_seed_oss(const nlohmann::json& config);
[[nodiscard]] Graph build_smollm3(const nlohmann::json& config);
[[nodiscard]] Graph build_stablelm(const nlohmann::json& config);
[[nodiscard]] Graph build_starcoder2(const nlohmann::json& config);

inline constexpr Family kFamilies[] = {
    {"llama", "LlamaForCausalLM", build_llama},
    {"llama4_text", "Llama4ForCausalLM", build_llama4},
    {"mistral", "MistralForCausalLM", build_mistral},
    {"ministral3", "Ministral3ForCausalLM", build_ministral3},
    {"mixtral", "MixtralForCausalLM", build_mixtral},
    {"qwen2", "Qwen2ForCausalLM", build_qwen2},
    {"qwen3", "Qwen3ForCausalLM", build_qwen3},
    {"qwen3_moe", "Qwen3MoeForCausalLM", build_qwen3_moe},
    {"qwen3_next", "Qwen3NextForCausalLM", build_qwen3_next},
    {"qwen3_5_text", "Qwen3_5ForCausalLM", build_qwen3_5},
    {"qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", build_qwen3_5_moe},
    {"gemma", "GemmaForCausalLM", build_gemma},
    {"gemma2", "Gemma2ForCausalLM", build_gemma2},
    {"gemma3_text", "Gemma3ForCausalLM", build_gemma3},
    {"gemma4_text", "Gemma4ForCausalLM", build_gemma4},
    {"phi", "PhiForCausalLM", build_phi},
    {"phi3", "Phi3ForCausalLM", build_phi3},
    {"olmo2", "Olmo2ForCausalLM", build_olmo2},
    {"olmo3", "Olmo3ForCausalLM", build_olmo3},
    {"smollm3", "SmolLM3ForCausalLM", build_smollm3},
    {"glm4_moe", "Glm4MoeForCausalLM", build_glm4_moe},
    {"glm4_moe_lite", "Glm4MoeLiteForCausalLM", build_glm4_moe_lite},
    {"deepseek_v3", "DeepseekV3ForCausalLM", build_deepseek_v3},
    {"kimi_k2", "DeepseekV3ForCausalLM", build_deepseek_v3},
    {"gpt_oss", "GptOssForCausalLM", build_gpt_oss},
    {"minimax_m2", "MiniMaxM2ForCausalLM", build_minimax_m2},
    {"gpt_neox", "GPTNeoXForCausalLM", build_gpt_neox},
    {"stablelm", "StableLmForCausalLM", build_stablelm},
    {"falcon", "FalconForCausalLM", build_falcon},
    {"bloom", "BloomForCausalLM", build_bloom},
    {"gpt2", "GPT2LMHeadModel", build_gpt2},
    {"granite", "GraniteForCausalLM", build_granite},
    {"granitemoe", "GraniteMoeForCausalLM", build_granitemoe},
    {"granitemoeshared", "GraniteMoeSharedForCausalLM", build_granitemoeshared},
    {"granitemoehybrid", "GraniteMoeHybridForCausalLM", build_granitemoehybrid},
    {"nemotron_h", "NemotronHForCausalLM", build_nemotron_h},
    {"starcoder2", "Starcoder2ForCausalLM", build_starcoder2},
    {"cohere", "CohereForCausalLM", build_cohere},
    {"seed_oss", "SeedOssForCausalLM", build_seed_oss},
    {"exaone4", "Exaone4ForCausalLM", build_exaone4},
    {"hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM", build_hunyuan_v1_dense},
    {"ernie4_5", "Ernie4_5ForCausalLM", build_ernie4_5},
    {"ernie4_5", "Ernie4_5_ForCausalLM", build_ernie4_5},
    {"cohere2", "Cohere2ForCausalLM", build_cohere2},
};

}  // namespace initrt
