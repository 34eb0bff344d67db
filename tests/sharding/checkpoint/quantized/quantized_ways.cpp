#include "tests/sharding/checkpoint/quantized/quantized_ways.h"

#include <algorithm>

#include "tests/sharding/checkpoint/names/small_graph.h"
#include "tests/sharding/errors.h"

namespace initrt::testing {

Graph graph_of(std::uint64_t rows, std::uint64_t columns) {
  Graph graph = small_graph();
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
  std::uint64_t end = 0;
  for (TensorEntry& tensor : catalog.tensors) {
    tensor.parts[0].offset = end;
    end += tensor.bytes();
  }
  catalog.files[0].bytes = end;
  catalog.finish();
  if (!quantization.is_null()) catalog.config = {{"quantization_config", quantization}};
  return catalog;
}

Json gptq(int bits, int group) {
  return {{"quant_method", "gptq"}, {"bits", bits}, {"group_size", group}};
}

Json compressed(const char* format, const Json& weights) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"ignore", {"lm_head", "re:.*gate$"}},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}

Json fp8() { return {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}}; }

Json four_bits() {
  return {{"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", 32}};
}

namespace {

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

std::vector<Way> make_ways() {
  const Part codes{"weight", DType::F8_E4M3, {64, 96}};
  return {
      {"Fp8PartialBlocks",
       192,
       320,
       {{"weight", DType::F8_E4M3, {192, 320}}, {"weight_scale_inv", DType::F32, {2, 3}}},
       fp8()},
      {"Fp8OneScale", 64, 96, {codes, {"weight_scale", DType::F32, {}}}, {}},
      {"Fp8OneScaleOfModelOpt",
       64,
       96,
       {codes, {"weight_scale", DType::F32, {}}, {"input_scale", DType::F32, {}}},
       {{"quant_method", "modelopt"}, {"quant_algo", "FP8"}}},
      {"Fp8EachRow",
       64,
       96,
       {codes, {"weight_scale", DType::F32, {64, 1}}},
       {{"quant_method", "fbgemm_fp8"}}},
      {"Fp8EachRowInOneDimension", 64, 96, {codes, {"weight_scale", DType::F32, {64}}}, {}},
      {"Fp8Exponents", 64, 96, {codes, {"scale", DType::F8_E8M0, {1, 1}}}, fp8()},
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
       compressed("pack-quantized", four_bits()),
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

}  // namespace

const std::vector<Way>& ways() {
  static const std::vector<Way> all = make_ways();
  return all;
}

const Way& way(const std::string& name) {
  return *std::ranges::find_if(ways(), [&](const Way& one) { return one.name == name; });
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

}  // namespace initrt::testing
