// Weights that are not the numbers that they are stored as are refused by the method's name.
#include "sharding/checkpoint/names/quantized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sharding/checkpoint/names/names.h"
#include "tests/sharding/checkpoint/names/small_graph.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using Json = nlohmann::json;
using testing::add_tensor;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::small_graph;

constexpr const char* kModule = "model.layers.0.mlp.down_proj.";

struct Beside {
  std::string name;  // within the module
  DType dtype;
  std::vector<std::uint64_t> shape;
};

/// The small graph's tensors in BF16, but for those of down_proj, which are given.
Catalog catalog_with(const std::vector<Beside>& tensors, const Json& config = {}) {
  Catalog catalog;
  catalog.path = "model";
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}) {
    add_tensor(catalog, name, DType::BF16, {8, 4});
  }
  for (const auto& [name, dtype, shape] : tensors)
    add_tensor(catalog, kModule + name, dtype, shape);
  catalog.finish();
  catalog.config = config;
  return catalog;
}

std::string error_with(const std::vector<Beside>& tensors, const Json& config = {}) {
  const Catalog catalog = catalog_with(tensors, config);
  return error_of([&] { (void)bind(small_graph(), catalog, false); });
}

struct Method {
  const char* name;
  std::vector<Beside> tensors;
  const char* companion;  // the one that the error names, within the module
  Json config = {};
};

std::vector<Method> methods() {
  const Beside fp8{"weight", DType::F8_E4M3, {8, 4}}, i8{"weight", DType::I8, {8, 4}};
  return {
      {"fp8 with scales", {fp8, {"scale_weight", DType::F32, {}}}, "scale_weight"},
      {"fp8 with scales", {fp8, {"input_scale", DType::F32, {}}}, "input_scale"},
      {"fp8 with scales",
       {fp8, {"weight_scale", DType::F32, {}}, {"pre_quant_scale", DType::F32, {4}}},
       "weight_scale"},
      {"fp8 with scales",
       {{"weight", DType::F8_E5M2, {8, 4}}, {"weight_scale", DType::F32, {}}},
       "weight_scale"},
      {"ModelOpt NVFP4",
       {{"weight", DType::U8, {8, 2}},
        {"weight_scale", DType::F8_E4M3, {8, 1}},
        {"weight_scale_2", DType::F32, {}}},
       "weight_scale"},
      {"MXFP4",
       {{"weight", DType::U8, {8, 2}}, {"weight_scale", DType::U8, {8, 1}}},
       "weight_scale"},
      {"bitsandbytes 4-bit",
       {{"weight", DType::U8, {16, 1}},
        {"weight.absmax", DType::F32, {1}},
        {"weight.quant_map", DType::F32, {16}}},
       "weight.absmax"},
      {"int8 with scales", {i8, {"weight_scale", DType::BF16, {8, 1}}}, "weight_scale"},
      {"\"eetq\"",
       {i8, {"weight_scales", DType::F16, {8}}},
       "weight_scales",
       {{"quantization_config", {{"quant_method", "eetq"}}}}},
      {"\"aqlm\"",
       {{"codes", DType::I8, {1, 1, 1}}, {"codebooks", DType::F16, {1, 256, 1, 8}}},
       "codebooks",
       {{"quantization_config", {{"quant_method", "aqlm"}}}}},
      {"MLX",
       {{"weight", DType::U32, {8, 1}},
        {"scales", DType::F16, {8, 1}},
        {"biases", DType::F16, {8, 1}}},
       "biases"},
      {"\"MLX 4-bit\"",
       {{"weight", DType::U32, {8, 1}}, {"scales", DType::U8, {8, 1}}},
       "scales",
       {{"quantization", {{"group_size", 32}, {"bits", 4}, {"mode", "mxfp4"}}}}},
      {"quanto",
       {{"weight._data", DType::I8, {8, 4}}, {"weight._scale", DType::F32, {8, 1}}},
       "weight._data"},
      {"HQQ", {{"W_q", DType::U8, {8, 2}}, {"scale", DType::F16, {8, 1}}}, "W_q"},
      {"weights with scales",
       {{"weight", DType::BF16, {8, 4}}, {"weight_scale", DType::F32, {}}},
       "weight_scale"},
  };
}

TEST(Quantized, WeightsAreRefusedByTheirMethodAndTheTensorThatTells) {
  for (const Method& method : methods()) {
    EXPECT_THAT(error_with(method.tensors, method.config),
                AllOf(HasSubstr(std::string("tensor \"") + kModule + method.companion + "\""),
                      HasSubstr(std::string(kModule) + "weight\""), HasSubstr(method.name),
                      HasSubstr("weights quantized this way are not read")))
        << method.name;
  }
}

TEST(Quantized, IntegersAreNoWeightsEvenWithNothingBesideThem) {
  for (const DType dtype :
       {DType::I64, DType::I32, DType::U32, DType::I16, DType::I8, DType::U8, DType::BOOL}) {
    EXPECT_THAT(error_with({{"weight", dtype, {8, 4}}}),
                AllOf(HasSubstr("down_proj.weight\" is " + std::string(name(dtype)) + " [8, 4]"),
                      HasSubstr("quantiz")));
  }
  EXPECT_THAT(error_with({{"weight", DType::U8, {16, 1}}},
                         {{"quantization_config", {{"quant_method", "bitsandbytes"}}}}),
              HasSubstr("the config says \"bitsandbytes\""));
}

TEST(Quantized, PlainFp8IsReadUnlessTheConfigSaysThatItHasScales) {
  const std::vector<Beside> fp8 = {{"weight", DType::F8_E4M3, {8, 4}}};
  EXPECT_EQ(bind(small_graph(), catalog_with(fp8), false).unused_quantization, "");
  EXPECT_THAT(error_with(fp8, {{"quantization_config", {{"quant_method", "fp8"}}}}),
              HasSubstr("the config says \"fp8\", but no scale is beside it"));
}

TEST(Quantized, AConfigLeftOnPlainWeightsIsNoError) {
  const std::vector<Beside> plain = {{"weight", DType::BF16, {8, 4}}};
  const Json config = {{"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}}};
  const Bindings bindings = bind(small_graph(), catalog_with(plain, config), false);
  EXPECT_EQ(bindings.unused_quantization, "gptq");
  EXPECT_THAT(describe_unused_quantization(bindings), HasSubstr("\"gptq\""));
}

TEST(Quantized, LayersThatQuantizePlainWeightsAreRefusedByName) {
  EXPECT_THAT(error_with({{"weight", DType::BF16, {8, 4}}},
                         {{"quantization_config",
                           {{"quant_method", "bitnet"}, {"quantization_mode", "online"}}}}),
              HasSubstr("\"bitnet\""));
}

TEST(Quantized, AMissingWeightIsUnfitWithWhatTheConfigSaysBehindTheFilesThatAreNotThere) {
  Catalog catalog = catalog_with({}, {{"quantization_config", {{"quant_method", "vptq"}}}});
  catalog.absent_files = {"model-2.safetensors"};
  EXPECT_THROW((void)bind(small_graph(), catalog, false), UnfitCheckpoint);
  EXPECT_THAT(
      error_of([&] { (void)bind(small_graph(), catalog, false); }),
      HasSubstr("1 tensor is missing: \"model.layers.0.mlp.down_proj.weight\"; a file is not "
                "there, download it: \"model-2.safetensors\" (the config says it is "
                "quantized: \"vptq\")"));
  EXPECT_THAT(error_with({}, {{"quantization_config", nullptr}}), HasSubstr("1 tensor is missing"));
}

TEST(Quantized, AnAdapterIsNotLeftOut) {
  EXPECT_THAT(error_with({{"base_layer.weight", DType::BF16, {8, 4}},
                          {"lora_A.default.weight", DType::BF16, {2, 4}},
                          {"lora_B.default.weight", DType::BF16, {8, 2}}}),
              AllOf(HasSubstr("lora_A.default.weight"), HasSubstr("LoRA"), HasSubstr("merge")));
}

TEST(Quantized, AnAdapterUnderAnotherPrefixIsNotLeftOut) {
  for (const char* name : {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                           "other.ia3_l.default", "lm_head.modules_to_save.default.weight"}) {
    Catalog catalog = catalog_with({{"weight", DType::BF16, {8, 4}}});
    add_tensor(catalog, name, DType::BF16, {8, 4});
    catalog.finish();
    EXPECT_THAT(error_of([&] { (void)bind(small_graph(), catalog, false); }),
                HasSubstr("adapter that is not merged; merge it"))
        << name;
  }
}

TEST(Quantized, AModuleWithinAWeightsModuleBelongsToIt) {
  EXPECT_THAT(
      error_with({{"weight", DType::BF16, {8, 4}}, {"R4_input.weight", DType::BF16, {4, 4}}}),
      HasSubstr("belongs to"));
}

// AutoAWQ's ScaledActivation, SmoothQuant's leftovers.
TEST(Quantized, WhatScalesActivationsInABlockIsNotLeftOut) {
  const auto bind_beside = [](const char* name) {
    Catalog catalog = catalog_with({{"weight", DType::BF16, {8, 4}}});
    add_tensor(catalog, name, DType::F16, {4});
    catalog.finish();
    (void)bind(small_graph(), catalog, false);
  };
  for (const char* name :
       {"model.layers.0.mlp.act.scales", "model.layers.0.mlp.down_proj_smooth_scale"}) {
    EXPECT_THAT(error_of([&] { bind_beside(name); }), HasSubstr("scales what this model computes"))
        << name;
  }
  for (const char* name : {"vision.layers.0.mlp.act.scales", "model.embed_vision.scale"}) {
    EXPECT_NO_THROW(bind_beside(name)) << "another part of the model";
  }
  Catalog catalog = catalog_with({{"weight", DType::BF16, {8, 4}}});
  for (const char* name : {"qweight", "scales", "qzeros"}) {
    add_tensor(catalog, std::string("model.layers.0.mlp.other_proj.") + name, DType::I32, {4});
  }
  catalog.finish();
  EXPECT_NO_THROW((void)bind(small_graph(), catalog, false)) << "of a weight that is not needed";
}

TEST(Quantized, TransformsOfActivationsAreRefusedBesidePlainWeightsToo) {
  const auto config = [](const Json& transform) {
    return Json{{"quantization_config",
                 {{"quant_method", "compressed-tensors"}, {"transform_config", transform}}}};
  };
  const std::vector<Beside> plain = {{"weight", DType::BF16, {8, 4}}};
  EXPECT_THAT(error_with(plain, config({{"config_groups", {{"R4", {{"type", "hadamard"}}}}}})),
              HasSubstr("transform_config"));
  for (const Json& none : {Json::object(), Json{{"config_groups", Json::object()}}}) {
    EXPECT_NO_THROW((void)bind(small_graph(), catalog_with(plain, config(none)), false)) << none;
  }
}

TEST(Quantized, WhateverIsInAModuleWithABaseLayerIsAnAdapter) {
  for (const char* name : {"oft_r.default.weight", "ia3_l.default", "hada_w1_a.default"}) {
    EXPECT_THAT(
        error_with({{"base_layer.weight", DType::BF16, {8, 4}}, {name, DType::BF16, {4, 4}}}),
        AllOf(HasSubstr(std::string("down_proj.") + name), HasSubstr("an adapter"),
              HasSubstr("not merged")));
  }
  const Catalog alone = catalog_with(
      {{"base_layer.weight", DType::BF16, {8, 4}}, {"base_layer.bias", DType::BF16, {8}}});
  EXPECT_NO_THROW((void)bind(small_graph(), alone, false));
}

TEST(Quantized, WhateverBeginsWithAWeightsNameBelongsToIt) {
  const Beside plain{"weight", DType::BF16, {8, 4}};
  EXPECT_THAT(
      error_with({plain, {"weight_mask", DType::BF16, {8, 4}}}),
      HasSubstr("down_proj.weight_mask\" belongs to \"model.layers.0.mlp.down_proj.weight\""));
  const Catalog state = catalog_with({plain, {"weight.exp_avg", DType::F32, {8, 4}}});
  EXPECT_EQ(bind(small_graph(), state, false).unexpected.size(), 1u) << "an optimizer's";
}

TEST(Quantized, WrappersDoNotHideWhatBelongsToAWeight) {
  EXPECT_THAT(
      error_with({{"_orig_mod.weight", DType::F8_E4M3, {8, 4}}, {"scale_weight", DType::F32, {}}}),
      HasSubstr("fp8 with scales"));
}

TEST(Quantized, ScalesOutsideOfTheModuleBelongTo8BitWeights) {
  const std::string down = "model.layers.0.mlp.down_proj";
  for (const std::string& scale : {down + "_scale", "scales." + down + ".weight"}) {
    for (const DType dtype : {DType::F8_E4M3, DType::BF16}) {
      Catalog catalog = catalog_with({{"weight", dtype, {8, 4}}});
      add_tensor(catalog, scale, DType::F32, {1});
      add_tensor(catalog, "mtp.layers.0.mlp.down_proj_scale", DType::F32, {1});
      catalog.finish();
      const auto bound = [&] { return bind(small_graph(), catalog, false).unexpected.size(); };
      if (dtype == DType::BF16) {
        EXPECT_EQ(bound(), 2u);
      } else {
        EXPECT_THAT(error_of([&] { (void)bound(); }),
                    AllOf(HasSubstr(scale), HasSubstr("fp8 with scales")));
      }
    }
  }
}

TEST(Quantized, ScalesThatOnlyTheIndexNamesBelongToWeights) {
  Catalog catalog = catalog_with({{"weight", DType::F8_E4M3, {8, 4}}});
  catalog.absent_tensors["mtp.down_proj.weight_scale_inv"] = "model-2.safetensors";
  EXPECT_NO_THROW((void)bind(small_graph(), catalog, false));
  catalog.absent_tensors[std::string(kModule) + "weight_scale_inv"] = "model-2.safetensors";
  EXPECT_THAT(error_of([&] { (void)bind(small_graph(), catalog, false); }),
              AllOf(HasSubstr("down_proj.weight_scale_inv\", which the index has in "
                              "\"model-2.safetensors\" and no file holds"),
                    HasSubstr("download it")));
}

TEST(Quantized, FusedExpertsHaveScalesOfTheirNames) {
  Graph graph = small_graph();
  graph.tensors.push_back({"model.layers.0.mlp.experts.0.down_proj.weight", 8, 4});
  Catalog catalog = catalog_with({{"weight", DType::BF16, {8, 4}}});
  add_tensor(catalog, "model.layers.0.mlp.experts.down_proj", DType::F8_E4M3, {1, 8, 4});
  add_tensor(catalog, "model.layers.0.mlp.experts.down_proj_scale_inv", DType::F32, {1, 1, 1});
  catalog.finish();
  EXPECT_THAT(error_of([&] { (void)bind(graph, catalog, false); }),
              AllOf(HasSubstr("experts.down_proj_scale_inv"), HasSubstr("fp8 with scales")));
}

TEST(Quantized, WhatOtherPartsOfAModelHaveIsNoConcernOfItsWeights) {
  Catalog catalog = catalog_with(
      {{"weight", DType::BF16, {8, 4}}, {"k_scale", DType::F32, {}}, {"bias", DType::BF16, {8}}});
  for (const char* name :
       {"vision_tower.layers.0.mlp.down_proj.weight_scale", "model.layers.1.mlp.up_proj.qweight",
        "model.layers.0.self_attn.k_scale", "model.layers.0.self_attn.rotary_emb.inv_freq",
        "mtp.layers.0.mlp.down_proj.weight_scale_inv", "model.embed_tokens.embed_scale",
        "model.layers.0.attn.bias"}) {
    add_tensor(catalog, name, DType::I8, {1});
  }
  catalog.finish();
  EXPECT_NO_THROW((void)bind(small_graph(), catalog, false));
}

TEST(Quantized, ScalesOfACacheAndOfNormsLeavePlainFloatsPlain) {
  Graph graph = small_graph();
  graph.tensors[1] = {"model.norm.weight", 8, 1, true, 0};
  graph.tensors.push_back({"model.layers.0.self_attn.k_proj.weight", 8, 4});
  const auto unexpected = [&](DType dtype) {
    Catalog catalog;
    catalog.path = "model";
    for (const Tensor& tensor : graph.tensors) {
      const bool vector = tensor.name == "model.norm.weight";
      add_tensor(catalog, tensor.name, dtype,
                 vector ? std::vector<std::uint64_t>{8} : std::vector<std::uint64_t>{8, 4});
    }
    add_tensor(catalog, "model.norm.scale", DType::F32, {8});
    add_tensor(catalog, "model.layers.0.self_attn.k_proj.output_scale", DType::F32, {1});
    catalog.finish();
    return bind(graph, catalog, false).unexpected.size();
  };
  EXPECT_EQ(unexpected(DType::BF16), 2u);
  EXPECT_THAT(error_of([&] { (void)unexpected(DType::F8_E4M3); }), HasSubstr("fp8 with scales"));
}

TEST(QuantizationOf, AConfigIsWhatItSays) {
  const auto of = [](const char* text) { return quantization_of(Json::parse(text)); };
  EXPECT_EQ(of(R"({"quantization_config": {"quant_method": "fp8"}})"), "fp8");
  EXPECT_EQ(of(R"({"quantization": {"group_size": 64, "bits": 8}})"), "MLX 8-bit");
  EXPECT_EQ(of(R"({"compression_config": 7})"), "compression_config");
  EXPECT_EQ(of(R"({"quantization_config": {"bits": 4}})"), "quantization_config");
  EXPECT_EQ(of(R"({"quantization_config": null})"), "");
  EXPECT_EQ(of("[]"), "");
}

}  // namespace
}  // namespace initrt
