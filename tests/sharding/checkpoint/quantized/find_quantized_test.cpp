// Quantized weights as they are found: by names, dtypes, shapes and what the config says. Whatever
// does not fit is one line that names the tensor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sharding/checkpoint/names/names.h"
#include "sharding/read_plan.h"
#include "tests/sharding/checkpoint/names/small_graph.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using Json = nlohmann::json;
using testing::add_tensor;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

constexpr const char* kModule = "model.layers.0.mlp.down_proj.";
constexpr std::size_t kWeight = 3;  // the graph's tensor that is quantized

struct Part {
  std::string name;  // within the module
  DType dtype;
  std::vector<std::uint64_t> shape;
};
using Parts = std::vector<Part>;

Graph graph_of(std::uint64_t rows, std::uint64_t columns) {
  Graph graph = testing::small_graph();
  graph.tensors[kWeight].rows = rows;
  graph.tensors[kWeight].columns = columns;
  return graph;
}

Catalog catalog_of(const Parts& parts, const Json& quantization) {
  Catalog catalog;
  catalog.path = "model";
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}) {
    add_tensor(catalog, name, DType::BF16, {8, 4});
  }
  for (const Part& part : parts) add_tensor(catalog, kModule + part.name, part.dtype, part.shape);
  catalog.files[0].bytes = 1u << 20;
  for (std::size_t i = 0; i < catalog.tensors.size(); ++i) {
    catalog.tensors[i].parts[0].offset = i * 65536;
  }
  catalog.finish();
  if (!quantization.is_null()) catalog.config = {{"quantization_config", quantization}};
  return catalog;
}

// A way of storing a weight, as its library writes it.
struct Way {
  const char* name;
  std::uint64_t rows, columns;
  Parts parts;
  Json config;
  QuantMethod method = QuantMethod::Bytes;
};

Json gptq(int bits, int group) {
  return {{"quant_method", "gptq"}, {"bits", bits}, {"group_size", group}};
}

Json compressed(const char* format, const Json& weights) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"ignore", {"lm_head", "re:.*gate$"}},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}

const Json kFp8 = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
const Json kInt4 = {{"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", 32}};

Parts with(Parts parts, const Part& other) {
  for (Part& part : parts) {
    if (part.name != other.name) continue;
    part = other;
    return parts;
  }
  parts.push_back(other);
  return parts;
}
Parts without(Parts parts, const std::string& name) {
  std::erase_if(parts, [&](const Part& part) { return part.name == name; });
  return parts;
}

std::vector<Way> ways() {
  const Part fp8{"weight", DType::F8_E4M3, {64, 96}};
  return {
      {"Fp8PartialBlocks",
       192,
       320,
       {{"weight", DType::F8_E4M3, {192, 320}}, {"weight_scale_inv", DType::F32, {2, 3}}},
       kFp8},
      {"Fp8OneScale", 64, 96, {fp8, {"weight_scale", DType::F32, {}}}, {}},
      {"Fp8OneScaleOfModelOpt",
       64,
       96,
       {fp8, {"weight_scale", DType::F32, {}}, {"input_scale", DType::F32, {}}},
       {{"quant_method", "modelopt"}, {"quant_algo", "FP8"}}},
      {"Fp8EachRow",
       64,
       96,
       {fp8, {"weight_scale", DType::F32, {64, 1}}},
       {{"quant_method", "fbgemm_fp8"}}},
      {"Fp8EachRowInOneDimension", 64, 96, {fp8, {"weight_scale", DType::F32, {64}}}, {}},
      {"Fp8Exponents", 64, 96, {fp8, {"scale", DType::F8_E8M0, {1, 1}}}, kFp8},
      {"BitsandbytesInt8",
       64,
       96,
       {{"weight", DType::I8, {64, 96}},
        {"SCB", DType::F32, {64}},
        {"weight_format", DType::U8, {}}},
       {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}},
       QuantMethod::LlmInt8},
      {"BitsandbytesNf4",
       64,
       96,
       {{"weight", DType::U8, {3072, 1}},
        {"weight.absmax", DType::U8, {96}},
        {"weight.quant_map", DType::F32, {16}},
        {"weight.nested_absmax", DType::F32, {1}},
        {"weight.nested_quant_map", DType::F32, {256}},
        {"weight.quant_state.bitsandbytes__nf4", DType::U8, {200}}},
       {{"quant_method", "bitsandbytes"}},
       QuantMethod::FourBitTable},
      {"Gptq4",
       64,
       96,
       {{"qweight", DType::I32, {12, 64}},
        {"qzeros", DType::I32, {3, 8}},
        {"scales", DType::F16, {3, 64}},
        {"g_idx", DType::I32, {96}}},
       gptq(4, 32),
       QuantMethod::Gptq},
      {"Gptq8",
       64,
       96,
       {{"qweight", DType::I32, {24, 64}},
        {"qzeros", DType::I32, {1, 16}},
        {"scales", DType::F16, {1, 64}}},
       gptq(8, -1),
       QuantMethod::Gptq},
      {"Awq",
       64,
       96,
       {{"qweight", DType::I32, {96, 8}},
        {"qzeros", DType::I32, {3, 8}},
        {"scales", DType::F16, {3, 64}}},
       {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 32}, {"version", "GEMM"}},
       QuantMethod::Awq},
      {"CompressedInt4",
       64,
       96,
       {{"weight_packed", DType::I32, {64, 12}},
        {"weight_scale", DType::BF16, {64, 3}},
        {"weight_shape", DType::I64, {2}}},
       compressed("pack-quantized", kInt4),
       QuantMethod::PackedInts},
      {"CompressedMxfp4",
       64,
       96,
       {{"weight_packed", DType::U8, {64, 48}}, {"weight_scale", DType::U8, {64, 3}}},
       compressed("mxfp4-pack-quantized",
                  {{"num_bits", 4}, {"type", "float"}, {"strategy", "group"}, {"group_size", 32}}),
       QuantMethod::Fp4},
      {"CompressedInt8",
       64,
       96,
       {{"weight", DType::I8, {64, 96}}, {"weight_scale", DType::BF16, {64, 1}}},
       compressed("int-quantized", {{"num_bits", 8}, {"strategy", "channel"}})},
  };
}

const Way& way(const std::string& name) {
  static const std::vector<Way> all = ways();
  return *std::find_if(all.begin(), all.end(), [&](const Way& one) { return one.name == name; });
}

Bindings bound(const Way& way) {
  return bind(graph_of(way.rows, way.columns), catalog_of(way.parts, way.config), false);
}

std::string error_with(const std::string& name, const Part& part) {
  Way changed = way(name);
  changed.parts = with(changed.parts, part);
  return error_of([&] { (void)bound(changed); });
}
std::string error_lacking(const std::string& name, const std::string& part) {
  Way changed = way(name);
  changed.parts = without(changed.parts, part);
  return error_of([&] { (void)bound(changed); });
}
std::string error_under(const std::string& name, const Json& config) {
  Way changed = way(name);
  changed.config = config;
  return error_of([&] { (void)bound(changed); });
}
Json changed(Json config, const char* key, const Json& value) {
  config[key] = value;
  return config;
}

TEST(FindQuantized, EachWayIsKnownByWhatLiesBesideAWeightAndBoundByItsCodes) {
  for (const Way& one : ways()) {
    const Catalog catalog = catalog_of(one.parts, one.config);
    const Bindings bindings = bind(graph_of(one.rows, one.columns), catalog, false);
    const Binding& binding = bindings.tensors[kWeight];
    ASSERT_TRUE(binding.quantized) << one.name;
    EXPECT_EQ(binding.quantized->method, one.method) << one.name;
    EXPECT_EQ(binding.quantized->rows, one.rows);
    EXPECT_EQ(binding.quantized->columns, one.columns);
    ASSERT_EQ(binding.runs.size(), 1u);
    EXPECT_EQ(catalog.tensors[binding.runs[0].source].name, kModule + one.parts[0].name);
    EXPECT_EQ(binding.runs[0].rows, one.rows);
    EXPECT_FALSE(bindings.tensors[0].quantized) << one.name;
    EXPECT_EQ(bindings.unexpected.size(), 0u) << one.name;
    EXPECT_EQ(bindings.unused_quantization, "") << one.name;
  }
}

TEST(FindQuantized, BiasesBesideCodesStayPlain) {
  for (const Way& one : ways()) {
    Graph graph = graph_of(one.rows, one.columns);
    Tensor bias{graph.tensors[kWeight].name, one.rows, 1, true, 0, {}};
    bias.name.replace(bias.name.rfind(".weight"), 7, ".bias");
    graph.tensors.push_back(bias);
    Parts parts = one.parts;
    parts.push_back({"bias", DType::BF16, {one.rows}});
    const Bindings bindings = bind(graph, catalog_of(parts, one.config), false);
    EXPECT_TRUE(bindings.tensors[kWeight].quantized) << one.name;
    EXPECT_FALSE(bindings.tensors.back().quantized) << one.name;
    EXPECT_EQ(bindings.unexpected.size(), 0u) << one.name;
  }
}

TEST(FindQuantized, BoxesHoldEveryComponentsBytesOnceOverAllRows) {
  for (const Way& one : ways()) {
    const Catalog catalog = catalog_of(one.parts, one.config);
    const Bindings bindings = bind(graph_of(one.rows, one.columns), catalog, false);
    const QuantizedWeight& weight = *bindings.tensors[kWeight].quantized;
    for (const SourceBox& box : source_boxes(weight, 0, one.rows)) {
      EXPECT_EQ(box.bytes(), catalog.tensors[box.tensor].bytes()) << one.name;
    }
    for (std::uint64_t row = 0; row < one.rows; ++row) {
      for (const SourceBox& box : source_boxes(weight, row, 1)) {
        const TensorEntry& tensor = catalog.tensors[box.tensor];
        const std::uint64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
        EXPECT_LE(box.column + box.columns, columns) << one.name;
        EXPECT_LE(box.row + box.rows, tensor.elements() / columns) << one.name;
        EXPECT_GT(box.bytes(), 0u) << one.name;
      }
    }
    EXPECT_THAT(error_of([&] { (void)source_boxes(weight, one.rows, 1); }), HasSubstr("no 1 rows"));
  }
}

TEST(FindQuantized, ABlockOfScalesIsTheConfigsNotTheGrids) {
  const QuantizedWeight weight = *bound(way("Fp8PartialBlocks")).tensors[kWeight].quantized;
  EXPECT_EQ(weight.block_rows, 128u);
  const std::vector<SourceBox> boxes = source_boxes(weight, 120, 16);
  EXPECT_EQ(boxes[1].row, 0u);
  EXPECT_EQ(boxes[1].rows, 2u);
  EXPECT_EQ(source_boxes(weight, 128, 64)[1].row, 1u);
}

TEST(FindQuantized, ScalesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_EQ(
      error_with("Fp8PartialBlocks", {"weight_scale_inv", DType::F32, {3, 3}}),
      "model/file: tensor \"model.layers.0.mlp.down_proj.weight_scale_inv\" has shape [3, 3], "
      "but a weight of [192, 320] asks for [2, 3]");
  EXPECT_THAT(error_with("Fp8EachRow", {"weight_scale", DType::F32, {3}}),
              HasSubstr("expected one scale, or one for each of 64 rows"));
  EXPECT_THAT(error_with("BitsandbytesInt8", {"SCB", DType::F32, {63}}),
              HasSubstr("SCB\" has shape [63], but a weight of [64, 96] asks for [64]"));
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight.absmax", DType::U8, {97}}),
              HasSubstr("expected one scale for each 32 to 4096 of 6144 elements"));
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight.nested_absmax", DType::F32, {5}}),
              HasSubstr("nested_absmax\" has shape [5]: expected [1] for 96 scales"));
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight.quant_map", DType::F32, {15}}),
              HasSubstr("asks for [16]"));
  EXPECT_THAT(error_with("Gptq4", {"scales", DType::F16, {4, 64}}),
              HasSubstr("scales\" has shape [4, 64], but the config says group_size 32"));
  EXPECT_THAT(error_with("Gptq4", {"qzeros", DType::I32, {3, 7}}), HasSubstr("asks for [3, 8]"));
  EXPECT_THAT(error_with("Gptq4", {"g_idx", DType::I32, {95}}), HasSubstr("asks for [96]"));
  EXPECT_THAT(error_with("Awq", {"scales", DType::F16, {3, 63}}), HasSubstr("asks for [3, 64]"));
  EXPECT_THAT(error_with("CompressedInt4", {"weight_scale", DType::BF16, {64, 4}}),
              HasSubstr("asks for [64, 3]"));
  EXPECT_THAT(error_with("CompressedMxfp4", {"weight_scale", DType::U8, {64, 4}}),
              HasSubstr("asks for [64, 3]"));
}

TEST(FindQuantized, CodesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("Fp8OneScale", {"weight", DType::F8_E4M3, {64, 95}}),
              HasSubstr("weight\" has shape [64, 95], but a weight of [64, 96] asks for [64, 96]"));
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight", DType::U8, {3071, 1}}),
              HasSubstr("asks for [3072, 1] or [1, 3072]"));
  EXPECT_THAT(error_with("Gptq4", {"qweight", DType::I32, {13, 64}}),
              HasSubstr("the config says 4 bits for a weight of [64, 96]: expected [12, 64]"));
  EXPECT_THAT(error_with("Awq", {"qweight", DType::I32, {96, 9}}), HasSubstr("asks for [96, 8]"));
  EXPECT_THAT(error_with("CompressedInt4", {"weight_packed", DType::I32, {64, 13}}),
              HasSubstr("asks for [64, 12]"));
}

TEST(FindQuantized, DtypesThatNoLibraryWritesAreErrors) {
  EXPECT_THAT(error_with("Fp8OneScale", {"weight_scale", DType::I32, {}}),
              HasSubstr("is I32: expected F32"));
  EXPECT_THAT(error_with("Fp8OneScale", {"weight_scale", DType::U8, {}}),
              HasSubstr("\"scale_fmt\": \"ue8m0\""));
  EXPECT_THAT(error_with("BitsandbytesInt8", {"SCB", DType::F16, {64}}), HasSubstr("expected F32"));
  EXPECT_THAT(error_with("Gptq4", {"qweight", DType::U32, {12, 64}}), HasSubstr("expected I32"));
  EXPECT_THAT(error_with("CompressedInt4", {"weight_packed", DType::U32, {64, 12}}),
              HasSubstr("expected I32 or U8"));
  EXPECT_THAT(
      error_with("BitsandbytesNf4", {"weight.quant_state.bitsandbytes__nf4", DType::U8, {5000}}),
      HasSubstr("expected 1 to 4096 bytes"));
}

TEST(FindQuantized, WhatIsMissingBesideAWeightIsNamed) {
  EXPECT_THAT(error_lacking("Gptq4", "scales"),
              HasSubstr("qweight\" is quantized, but \"scales\" is not beside it"));
  EXPECT_THAT(error_lacking("Awq", "qzeros"), HasSubstr("\"qzeros\" is not beside it"));
  EXPECT_THAT(error_lacking("CompressedInt4", "weight_scale"), HasSubstr("\"weight_scale\""));
  EXPECT_THAT(error_lacking("BitsandbytesNf4", "weight.nested_quant_map"),
              HasSubstr("\"weight.nested_quant_map\""));
  EXPECT_THAT(error_under("Gptq8", changed(gptq(8, -1), "desc_act", true)),
              HasSubstr("\"g_idx\" is not beside it"));
}

TEST(FindQuantized, AnOrderThatTheConfigNamesIsBesideTheWeight) {
  for (const Json& order : {Json("group"), Json("dynamic"), Json(true)}) {
    const Json config = compressed("pack-quantized", changed(kInt4, "actorder", order));
    EXPECT_THAT(error_under("CompressedInt4", config),
                HasSubstr("\"weight_g_idx\" is not beside it"));
  }
  Way one = way("CompressedInt4");
  one.config = compressed("pack-quantized", changed(kInt4, "actorder", "weight"));
  EXPECT_TRUE(bound(one).tensors[kWeight].quantized);
}

TEST(FindQuantized, AConfigThatSaysOtherwiseIsAnError) {
  const Json other = {{"quant_method", "hqq"}};
  for (const char* name :
       {"Fp8OneScale", "BitsandbytesInt8", "BitsandbytesNf4", "CompressedInt4"}) {
    EXPECT_THAT(error_under(name, other), HasSubstr("the config says \"hqq\"")) << name;
  }
  EXPECT_THAT(error_under("Gptq4", Json()), HasSubstr("no quantization_config"));
  EXPECT_THAT(error_under("Awq", Json()), HasSubstr("no quantization_config"));
  EXPECT_THAT(error_under("CompressedInt4", Json()), HasSubstr("the config says nothing of it"));
  EXPECT_THAT(error_under("Gptq4", gptq(8, 32)), HasSubstr("says 8 bits"));
  EXPECT_THAT(error_under("Gptq4", gptq(3, 32)), HasSubstr("expected 2, 4 or 8 bits"));
  EXPECT_THAT(error_under("Gptq4", gptq(4, 128)), HasSubstr("group_size 128"));
  EXPECT_THAT(error_under("Gptq4", changed(gptq(4, 32), "checkpoint_format", "marlin")),
              HasSubstr("in the format \"marlin\""));
  EXPECT_THAT(error_under("Awq", changed(way("Awq").config, "version", "gemv")),
              HasSubstr("version \"gemv\": expected 4 bits and \"gemm\""));
  EXPECT_THAT(error_under("Fp8PartialBlocks", changed(kFp8, "weight_block_size", {128, 0})),
              HasSubstr("weight_block_size is \"[128,0]\": expected two positive numbers"));
  EXPECT_THAT(error_under("Fp8PartialBlocks", {{"quant_method", "fp8"}}),
              HasSubstr("the config has no weight_block_size"));
}

TEST(FindQuantized, CompressedTensorsChoosesTheGroupThatTheTensorsFit) {
  Json config = way("CompressedInt4").config;
  Json eight = kInt4;
  eight["num_bits"] = 8;
  config["config_groups"]["group_1"] = {{"targets", {"re:.*self_attn.*"}}, {"weights", eight}};
  config["config_groups"]["group_2"] = {{"targets", {"x"}}, {"weights", nullptr}};
  Way mixed = way("CompressedInt4");
  mixed.config = config;
  EXPECT_EQ(bound(mixed).tensors[kWeight].quantized->bits, 4u);
  EXPECT_THAT(error_under("CompressedInt4", compressed("pack-quantized", eight)),
              HasSubstr("weight_packed\" has shape [64, 12], but a weight of [64, 96] asks for "
                        "[64, 24]"));
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "config_groups", Json::object())),
              HasSubstr("no config_groups with weights"));
  Json many;
  for (int i = 0; i < 300; ++i) many[std::to_string(i)] = config["config_groups"]["group_0"];
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "config_groups", many)),
              HasSubstr("300 config_groups: expected at most 256"));
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "format", "marlin-24")),
              HasSubstr("\"marlin-24\", which is not read"));
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "transform_config", {{"a", 1}})),
              HasSubstr("transform_config"));
  EXPECT_THAT(error_under("CompressedInt4",
                          changed(config, "sparsity_config", {{"format", "sparse-24-bitmask"}})),
              HasSubstr("sparse in the format \"sparse-24-bitmask\""));
}

TEST(FindQuantized, SomethingUnknownBesideAWeightIsRefusedByTheMethodsName) {
  for (const Way& one : ways()) {
    EXPECT_THAT(error_with(one.name, {"weight_mask", DType::U8, {64, 96}}),
                HasSubstr("weights quantized this way are not read"))
        << one.name;
  }
}

TEST(FindQuantized, ScalesOfActivationsAndCachesAreKnownAndNotUsed) {
  Way one = way("Fp8OneScale");
  for (const char* name : {"input_scale", "output_scale", "input_scale_ub"}) {
    one.parts.push_back({name, DType::F32, {}});
  }
  const Bindings bindings = bound(one);
  EXPECT_EQ(bindings.skipped, 3u);
  EXPECT_EQ(bindings.unexpected.size(), 0u);
  EXPECT_EQ(bindings.payload_bytes, 3u * 64 + 64 * 96 + 4);
}

TEST(FindQuantized, FusedWeightsAreRowsOfOneQuantizedWeight) {
  Graph graph = testing::small_graph();
  graph.heads = 4;
  graph.kv_heads = 2;
  graph.head_size = 8;
  graph.hf_names.table.block_prefix = "model.layers.";
  static constexpr NamePair kFused[] = {{"self_attn.q_proj", "self_attn.qkv_proj"},
                                        {"self_attn.k_proj", "self_attn.qkv_proj"},
                                        {"self_attn.v_proj", "self_attn.qkv_proj"}};
  graph.hf_names.table.in_block = kFused;
  graph.tensors.pop_back();
  for (const auto& [name, rows] :
       {std::pair{"q_proj", 32u}, std::pair{"k_proj", 16u}, std::pair{"v_proj", 16u}}) {
    graph.tensors.push_back(
        {std::string("model.layers.0.self_attn.") + name + ".weight", rows, 32, false, 0});
  }
  Catalog catalog =
      testing::catalog_of({"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"});
  const std::string module = "model.layers.0.self_attn.qkv_proj.";
  add_tensor(catalog, module + "qweight", DType::I32, {4, 64});
  add_tensor(catalog, module + "qzeros", DType::I32, {1, 8});
  add_tensor(catalog, module + "scales", DType::F16, {1, 64});
  catalog.finish();
  catalog.config = {{"quantization_config", gptq(4, 32)}};
  const Bindings bindings = bind(graph, catalog, false);
  for (const auto& [tensor, row] : {std::pair{3, 0u}, std::pair{4, 32u}, std::pair{5, 48u}}) {
    const Binding& binding = bindings.tensors[static_cast<std::size_t>(tensor)];
    ASSERT_TRUE(binding.quantized);
    EXPECT_EQ(binding.quantized->rows, 64u);
    EXPECT_EQ(binding.runs[0].source_row, row);
  }
  EXPECT_EQ(bindings.payload_bytes, 3u * 128 + 4 * 64 * 4 + 8 * 4 + 64 * 2);
}

TEST(FindQuantized, CodesAreNotPlannedAsNumbers) {
  const Way& one = way("Fp8OneScale");
  const Graph graph = graph_of(one.rows, one.columns);
  const Catalog catalog = catalog_of(one.parts, one.config);
  const Bindings bindings = bind(graph, catalog, false);
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  EXPECT_THAT(error_of([&] {
                plan_elements(graph.tensors[kWeight], bindings.tensors[kWeight], catalog, 0, 1, 0,
                              DType::F32, pieces);
              }),
              HasSubstr("stored as codes"));
}

}  // namespace
}  // namespace initrt
