#include "sharding/checkpoint/quantized/stored_form.h"

#include <gtest/gtest.h>

namespace initrt {
namespace {

using Json = nlohmann::json;

QuantConfig config(const Json& quantization) {
  return QuantConfig(Json{{"quantization_config", quantization}});
}

std::vector<StoredTensor> stored(const Json& quantization, const std::string& name,
                                 const std::vector<std::uint64_t>& shape) {
  return stored_form(config(quantization), {name, DType::BF16, shape});
}

const Json kFp8 = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
const Json kMxfp4 = {{"quant_method", "mxfp4"},
                     {"modules_to_not_convert", {"model.layers.*.self_attn", "lm_head"}}};

TEST(StoredForm, OfFp8HasAScaleForEachBlock) {
  const auto tensors = stored(kFp8, "model.layers.0.self_attn.kv_a.weight", {576, 7168});
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].dtype, DType::F8_E4M3);
  EXPECT_EQ(tensors[0].shape, (std::vector<std::uint64_t>{576, 7168}));
  EXPECT_EQ(tensors[1].name, "model.layers.0.self_attn.kv_a.weight_scale_inv");
  EXPECT_EQ(tensors[1].dtype, DType::F32);
  EXPECT_EQ(tensors[1].shape, (std::vector<std::uint64_t>{5, 56})) << "the last of 64 rows";
}

TEST(StoredForm, OfMxfp4IsCodesByRowsOfOutputs) {
  const auto tensors = stored(kMxfp4, "model.layers.0.mlp.experts.gate_up_proj", {4, 64, 96});
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "model.layers.0.mlp.experts.gate_up_proj_blocks");
  EXPECT_EQ(tensors[0].shape, (std::vector<std::uint64_t>{4, 96, 2, 16}));
  EXPECT_EQ(tensors[1].name, "model.layers.0.mlp.experts.gate_up_proj_scales");
  EXPECT_EQ(tensors[1].shape, (std::vector<std::uint64_t>{4, 96, 2}));
}

TEST(StoredForm, LeavesOutWhatIsNotQuantized) {
  const auto same = [](const Json& quantization, const std::string& name,
                       const std::vector<std::uint64_t>& shape) {
    const auto tensors = stored(quantization, name, shape);
    return tensors.size() == 1 && tensors[0].name == name && tensors[0].dtype == DType::BF16;
  };
  EXPECT_TRUE(same(kFp8, "model.embed_tokens.weight", {256, 128}));
  EXPECT_TRUE(same(kFp8, "lm_head.weight", {256, 128}));
  EXPECT_TRUE(same(kFp8, "model.layers.3.mlp.gate.weight", {256, 128})) << "a router";
  EXPECT_TRUE(same(kFp8, "model.layers.3.input_layernorm.weight", {128}));
  EXPECT_TRUE(same(kMxfp4, "model.layers.3.self_attn.q_proj.weight", {256, 128}));
  EXPECT_TRUE(same(kMxfp4, "model.layers.3.mlp.experts.gate_up_proj_bias", {4, 96}));
  EXPECT_TRUE(same({{"quant_method", "gptq"}}, "model.layers.3.mlp.up_proj.weight", {256, 128}));
  EXPECT_TRUE(same(Json(), "model.layers.3.mlp.up_proj.weight", {256, 128}));
}

TEST(StoredForm, IsKnownOfSomeMethods) {
  EXPECT_TRUE(is_stored_form_known(config(kFp8)));
  EXPECT_TRUE(is_stored_form_known(config(kMxfp4)));
  EXPECT_FALSE(is_stored_form_known(config({{"quant_method", "awq"}})));
  EXPECT_FALSE(is_stored_form_known(config({{"quant_method", "fp8"}}))) << "of no block size";
  EXPECT_FALSE(
      is_stored_form_known(config({{"quant_method", "fp8"}, {"weight_block_size", {0, 128}}})));
  EXPECT_FALSE(is_stored_form_known(QuantConfig(Json())));
}

}  // namespace
}  // namespace initrt
