// gpt-oss's experts as they are published, in MXFP4, and as transformers saves the numbers that
// they are: the same units, on any number of ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <random>

#include "runtime/export/convert.h"
#include "runtime/load/element_reader.h"
#include "runtime/load/loader.h"
#include "runtime/model/family.h"
#include "runtime/storage/local_files.h"
#include "runtime/values/verify.h"
#include "sharding/checkpoint/names/hf_form.h"
#include "sharding/read_plan.h"
#include "tests/support/process.h"
#include "tests/support/rank_model.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

constexpr std::uint64_t kExperts = 3, kHidden = 64, kWide = 96, kLayers = 2;

nlohmann::json config() {
  return {{"architectures", {"GptOssForCausalLM"}},
          {"model_type", "gpt_oss"},
          {"hidden_size", kHidden},
          {"intermediate_size", kWide},
          {"num_hidden_layers", kLayers},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"vocab_size", 40},
          {"max_position_embeddings", 64},
          {"num_local_experts", kExperts},
          {"num_experts_per_tok", 2}};
}

/// Codes of [experts, out, in / 32, 16] with scales of [experts, out, in / 32], and their numbers,
/// [experts, in, out]: what transformers' convert_moe_packed_tensors() makes of them.
struct Packed {
  std::string codes, scales;
  std::vector<float> numbers;
};

Packed make_packed(std::uint64_t out, std::uint64_t in, std::mt19937& rng) {
  constexpr float kValues[] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                               -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
  Packed packed;
  packed.numbers.resize(kExperts * in * out);
  for (std::uint64_t e = 0; e < kExperts; ++e) {
    for (std::uint64_t row = 0; row < out; ++row) {
      for (std::uint64_t group = 0; group < in / 32; ++group) {
        const std::uint32_t exponent = 117 + rng() % 7;
        packed.scales += static_cast<char>(exponent);
        for (std::uint64_t byte = 0; byte < 16; ++byte) {
          const std::uint32_t code = rng() % 256;
          packed.codes += static_cast<char>(code);
          for (std::uint64_t half = 0; half < 2; ++half) {
            const std::uint64_t column = group * 32 + byte * 2 + half;
            packed.numbers[(e * in + column) * out + row] = std::ldexp(
                kValues[half == 0 ? code & 15 : code >> 4], static_cast<int>(exponent) - 127);
          }
        }
      }
    }
  }
  return packed;
}

/// Writes both forms of the model.
void write_models(const std::string& published, const std::string& saved) {
  std::mt19937 rng(7);
  SafetensorsWriter codes, numbers;
  const Graph graph = build_graph(config());
  Bindings none;
  none.tensors.resize(graph.tensors.size());
  for (const HfTensor& stored : hf_tensors(graph, none)) {
    const std::string& name = stored.tensor.name;
    if (stored.shape.size() == 3) {
      const Packed packed = make_packed(stored.shape[2], stored.shape[1], rng);
      const std::uint64_t groups = stored.shape[1] / 32;
      codes.add_bytes(name + "_blocks", DType::U8, {kExperts, stored.shape[2], groups, 16},
                      packed.codes);
      codes.add_bytes(name + "_scales", DType::U8, {kExperts, stored.shape[2], groups},
                      packed.scales);
      numbers.add(name, DType::F32, stored.shape, packed.numbers);
      continue;
    }
    std::vector<float> values(stored.tensor.elements());
    for (float& value : values) value = static_cast<float>(rng() % 1000) / 1000.0f - 0.5f;
    codes.add(name, DType::F32, stored.shape, values);
    numbers.add(name, DType::F32, stored.shape, values);
  }
  codes.write(published + "/model.safetensors");
  numbers.write(saved + "/model.safetensors");
  nlohmann::json quantized = config();
  quantized["quantization_config"] = {{"quant_method", "mxfp4"},
                                      {"modules_to_not_convert", {"model.layers.*.self_attn"}}};
  write_file(published + "/config.json", quantized.dump());
  write_file(saved + "/config.json", config().dump());
}

class StackedExperts : public ::testing::Test {
 protected:
  StackedExperts() { write_models(published_.path(), saved_.path()); }

  const TemporaryDirectory published_, saved_;
};

TEST_F(StackedExperts, InMxfp4AreTheNumbersThatTransformersSaves) {
  const std::pair<const char*, const char*> holdings[] = {
      {"32-true", "none"}, {"bf16-true", "none"}, {"32-true", "nf4-dq"}, {"bf16-true", "llm.int8"}};
  for (const auto& [precision, quantize] : holdings) {
    const OpenModel codes = open_checkpoint_as(published_.path(), precision, quantize);
    const OpenModel numbers = open_checkpoint_as(saved_.path(), precision, quantize);
    EXPECT_THAT(codes.bindings.unexpected, ::testing::IsEmpty());
    EXPECT_THAT(numbers.bindings.unexpected, ::testing::IsEmpty());
    const Units expected = units_of(numbers, mapped_ranks(1));
    for (const std::uint32_t ranks : {1u, 2u, 3u, 7u}) {
      EXPECT_EQ(units_of(codes, mapped_ranks(ranks)), expected) << precision << ", ranks " << ranks;
      EXPECT_EQ(units_of(numbers, mapped_ranks(ranks)), expected)
          << precision << ", ranks " << ranks;
    }
  }
}

// Each rank reads its rows, out of all experts' and out of gate and up projections in turns.
TEST_F(StackedExperts, AreReadOnce) {
  for (const std::string& path : {published_.path(), saved_.path()}) {
    const OpenModel model = open_checkpoint_as(path, "32-true");
    for (const std::uint32_t ranks : {1u, 2u, 4u}) {
      const std::uint64_t bytes = bytes_read(model, ranks, 1u << 20);
      // Gaps of other tensors that are too small for a request of their own are read along.
      EXPECT_GE(bytes, model.bindings.payload_bytes) << path << ", ranks " << ranks;
      EXPECT_LE(bytes, model.bindings.payload_bytes * 1.02) << path << ", ranks " << ranks;
    }
  }
}

// A batch for each row would be two requests for some kilobytes, of millions of rows.
TEST_F(StackedExperts, GateAndUpInTurnsAreOneBatch) {
  const OpenModel model = open_checkpoint_as(published_.path(), "bf16-true");
  const Cut cut = make_cut(model.layout, 2);
  for (std::uint32_t unit = 0; unit < model.graph.units.size(); ++unit) {
    if (model.graph.units[unit].kind != UnitKind::Expert) continue;
    for (std::uint32_t rank = 0; rank < cut.world; ++rank) {
      const UnitReads plan =
          plan_reads(model.graph, model.layout, cut, model.bindings, model.catalog, unit, rank,
                     read_limits(make_staging_ring(1u << 20)));
      std::map<std::uint32_t, std::uint64_t> rows;  // by lanes
      std::uint64_t batches = 0;
      for (const ReadTask& task : plan.tasks) {
        if (!task.batch) continue;
        ++batches;
        rows[task.batch->lanes] += task.batch->rows;
      }
      EXPECT_EQ(batches, 2u) << "gate with up, and down";
      EXPECT_EQ(rows[2], kWide / 2);
      EXPECT_EQ(rows[1], kHidden / 2);
    }
  }
}

// What convert writes has the experts' outputs as columns, which are rows of the codes: a read for
// each would be two requests for some bytes, of millions of rows.
TEST_F(StackedExperts, AreConvertedInBatchesOfRows) {
  const OpenModel model = open_checkpoint_as(published_.path(), "32-true");
  std::uint64_t reads = 0, tensors = 0;
  ElementReader reader(model.catalog, [&] { ++reads; });
  for (const auto& [tensor, shape, binding] : hf_tensors(model.graph, model.bindings)) {
    if (!binding.quantized) continue;
    ++tensors;
    reads = 0;
    const std::uint64_t at_once = reader.elements_at_once(binding, DType::BF16);
    for (std::uint64_t begin = 0; begin < tensor.elements(); begin += at_once) {
      const std::uint64_t end = std::min(tensor.elements(), begin + at_once);
      std::vector<std::byte> out(bytes_of(DType::BF16, end - begin));
      reader.read(tensor, binding, begin, end, DType::BF16, out);
    }
    EXPECT_LE(reads, 2 * kExperts) << tensor.name << ": codes and scales of each expert, once";
  }
  EXPECT_EQ(tensors, 2 * kLayers);
}

// As verify reads them, gate and up projections apart.
TEST_F(StackedExperts, AreComparedInBatchesOfRows) {
  const OpenModel model = open_checkpoint_as(published_.path(), "32-true");
  std::uint64_t reads = 0;
  ElementReader reader(model.catalog, [&] { ++reads; });
  for (std::size_t i = 0; i < model.graph.tensors.size(); ++i) {
    const Tensor& tensor = model.graph.tensors[i];
    const Binding& binding = model.bindings.tensors[i];
    if (!binding.quantized) continue;
    EXPECT_GE(reader.elements_at_once(binding, DType::F32), tensor.elements());
    reads = 0;
    std::vector<std::byte> out(bytes_of(DType::F32, tensor.elements()));
    reader.read(tensor, binding, 0, tensor.elements(), DType::F32, out);
    EXPECT_LE(reads, 2u) << tensor.name << ": codes and scales";
  }
}

TEST_F(StackedExperts, AreConvertedToWhatTransformersSaves) {
  const TemporaryDirectory out;
  ConvertOptions options;
  options.model.path = published_.path();
  options.to = out.file("to");
  options.precision = "32-true";
  convert_to_safetensors(options);
  LocalFiles files;
  for (const std::string& same : {published_.path(), options.to}) {
    EXPECT_EQ(compare_checkpoints(files, {saved_.path(), ""}, {same, ""}, false).difference, "");
  }
}

}  // namespace
}  // namespace initrt::testing
