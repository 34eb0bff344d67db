#include "tests/support/small_llama.h"

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "runtime/convert/decode.h"
#include "sharding/error.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/support/safetensors_writer.h"

namespace initrt::testing {
namespace {

std::string file_name(std::uint32_t file, std::uint32_t files) {
  return files == 1 ? "model.safetensors"
                    : fmt::format("model-{:05}-of-{:05}.safetensors", file + 1, files);
}

/// As the converters to GGUF store a rotary matrix: rows 2i and 2i + 1 of a head are row i of its
/// first half and of its second.
std::vector<float> interleaved(const SmallTensor& tensor) {
  const std::uint64_t head_rows = tensor.rows / tensor.rotary_heads, half = head_rows / 2;
  std::vector<float> out(tensor.values.size());
  for (std::uint64_t row = 0; row < tensor.rows; ++row) {
    const std::uint64_t head = row / head_rows, in_head = row % head_rows;
    const std::uint64_t to = head * head_rows + 2 * (in_head % half) + in_head / half;
    std::memcpy(out.data() + to * tensor.columns, tensor.values.data() + row * tensor.columns,
                tensor.columns * sizeof(float));
  }
  return out;
}

std::uint32_t ggml_type(DType dtype) {
  switch (dtype) {
    case DType::Q4_0:
      return 2;
    case DType::Q4_1:
      return 3;
    case DType::Q8_0:
      return 8;
    case DType::Q4_K:
      return 12;
    case DType::Q5_K:
      return 13;
    case DType::Q6_K:
      return 14;
    default:
      fail("no blocks of {} are written", name(dtype));
  }
}

/// Blocks of random codes, whose float16 scales make values of about the tensor's variance.
std::string random_blocks(DType dtype, const SmallTensor& tensor) {
  struct Scales {
    std::size_t at;  // in a block, one or two float16
    std::size_t count;
    float steps;  // about how many of the scale a value is
  };
  const Scales scales = dtype == DType::Q4_0   ? Scales{0, 1, 5.0f}
                        : dtype == DType::Q4_1 ? Scales{0, 2, 5.0f}
                        : dtype == DType::Q8_0 ? Scales{0, 1, 70.0f}
                        : dtype == DType::Q6_K ? Scales{208, 1, 1200.0f}
                                               : Scales{0, 2, 250.0f};
  const DTypeInfo& type = info(dtype);
  std::string bytes(bytes_of(dtype, tensor.rows * tensor.columns), '\0');
  std::mt19937_64 rng(tensor.name.size() * 1000 + tensor.name.back() + tensor.rows);
  for (char& byte : bytes) byte = static_cast<char>(rng());
  const float width = 1.0f / std::sqrt(static_cast<float>(tensor.columns)) / scales.steps;
  for (std::size_t block = 0; block < bytes.size(); block += type.block_bytes) {
    for (std::size_t i = 0; i < scales.count; ++i) {
      // Of Q4_1 the minimum is added, and so of the other sign.
      const float scale = dtype == DType::Q4_1 && i == 1 ? -7.0f * width : width;
      const std::uint16_t half = decode::to_f16(scale);
      std::memcpy(bytes.data() + block + scales.at + 2 * i, &half, sizeof half);
    }
  }
  return bytes;
}

std::string gguf_name(const std::string& name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kNames = {{
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"input_layernorm", "attn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
  }};
  std::string prefix, module = name.substr(0, name.rfind('.'));
  if (module.starts_with("model.layers.")) {
    const std::string rest = module.substr(13);
    prefix = "blk." + rest.substr(0, rest.find('.') + 1);
    module = rest.substr(rest.find('.') + 1);
  }
  for (const auto& [from, to] : kNames) {
    if (module == from) return prefix + std::string(to) + ".weight";
  }
  fail("no GGUF name for {}", name);
}

}  // namespace

std::vector<SmallTensor> random_tensors(const SmallLlama& model, std::uint64_t seed) {
  std::mt19937_64 rng(seed);
  // Of variance 1 / columns, so that activations neither fade nor blow up; norms near 1.
  const auto random = [&](float center, float width) {
    return center + width * (static_cast<float>(rng() >> 40) / 8388608.0f - 1.0f);
  };
  std::vector<SmallTensor> tensors;
  const auto add = [&](std::string name, std::uint64_t rows, std::uint64_t columns,
                       std::uint32_t rotary_heads) {
    SmallTensor tensor{std::move(name), rows, columns, columns == 0, rotary_heads, {}};
    if (tensor.vector) tensor.columns = 1;
    const float width = tensor.vector ? 0.3f : std::sqrt(3.0f / static_cast<float>(columns));
    for (std::uint64_t i = 0; i < rows * tensor.columns; ++i) {
      tensor.values.push_back(random(tensor.vector ? 1.0f : 0.0f, width));
    }
    tensors.push_back(std::move(tensor));
  };
  const std::uint64_t q = std::uint64_t{model.heads} * model.head_size;
  const std::uint64_t kv = std::uint64_t{model.kv_heads} * model.head_size;
  add("model.embed_tokens.weight", model.vocabulary, model.hidden, 0);
  for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
    const std::string block = fmt::format("model.layers.{}.", layer);
    add(block + "input_layernorm.weight", model.hidden, 0, 0);
    add(block + "self_attn.q_proj.weight", q, model.hidden, model.heads);
    add(block + "self_attn.k_proj.weight", kv, model.hidden, model.kv_heads);
    add(block + "self_attn.v_proj.weight", kv, model.hidden, 0);
    add(block + "self_attn.o_proj.weight", model.hidden, q, 0);
    add(block + "post_attention_layernorm.weight", model.hidden, 0, 0);
    add(block + "mlp.gate_proj.weight", model.intermediate, model.hidden, 0);
    add(block + "mlp.up_proj.weight", model.intermediate, model.hidden, 0);
    add(block + "mlp.down_proj.weight", model.hidden, model.intermediate, 0);
  }
  add("model.norm.weight", model.hidden, 0, 0);
  if (!model.tied) add("lm_head.weight", model.vocabulary, model.hidden, 0);
  return tensors;
}

nlohmann::json config_of(const SmallLlama& model) {
  return {{"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"},
          {"hidden_size", model.hidden},           {"intermediate_size", model.intermediate},
          {"num_hidden_layers", model.layers},     {"num_attention_heads", model.heads},
          {"num_key_value_heads", model.kv_heads}, {"head_dim", model.head_size},
          {"vocab_size", model.vocabulary},        {"max_position_embeddings", model.context},
          {"rms_norm_eps", model.epsilon},         {"rope_theta", model.theta},
          {"tie_word_embeddings", model.tied},     {"hidden_act", "silu"}};
}

std::vector<std::string> write_safetensors(const std::string& directory, const SmallLlama& model,
                                           const std::vector<SmallTensor>& tensors, DType dtype,
                                           std::uint32_t files) {
  nlohmann::json index = {{"metadata", nlohmann::json::object()}};
  std::vector<std::string> names;
  for (std::uint32_t file = 0; file < files; ++file) {
    const std::string name = file_name(file, files);
    SafetensorsWriter writer;
    for (std::size_t i = file * tensors.size() / files; i < (file + 1) * tensors.size() / files;
         ++i) {
      const SmallTensor& tensor = tensors[i];
      std::vector<std::uint64_t> shape = {tensor.rows};
      if (!tensor.vector) shape.push_back(tensor.columns);
      writer.add(tensor.name, dtype, shape, tensor.values);
      index["weight_map"][tensor.name] = name;
    }
    writer.write(directory + "/" + name);
    names.push_back(name);
  }
  if (files > 1) write_file(directory + "/model.safetensors.index.json", index.dump());
  write_file(directory + "/config.json", config_of(model).dump());
  return names;
}

void write_gguf(const std::string& path, const SmallLlama& model,
                const std::vector<SmallTensor>& tensors, DType dtype) {
  GgufWriter writer;
  writer.text("general.architecture", "llama")
      .u32("llama.embedding_length", model.hidden)
      .u32("llama.feed_forward_length", model.intermediate)
      .u32("llama.block_count", model.layers)
      .u32("llama.attention.head_count", model.heads)
      .u32("llama.attention.head_count_kv", model.kv_heads)
      .u32("llama.attention.key_length", model.head_size)
      .u32("llama.rope.dimension_count", model.head_size)
      .u32("llama.context_length", model.context)
      .pair("llama.rope.freq_base", kF32, raw(static_cast<float>(model.theta)))
      .pair("llama.attention.layer_norm_rms_epsilon", kF32, raw(static_cast<float>(model.epsilon)));
  std::string data;
  for (const SmallTensor& tensor : tensors) {
    while (data.size() % writer.alignment != 0) data += '\0';
    std::vector<std::uint64_t> dimensions = {tensor.rows};
    if (!tensor.vector) dimensions.insert(dimensions.begin(), tensor.columns);
    const bool blocks = dtype != DType::F32 && !tensor.vector;
    writer.tensor(gguf_name(tensor.name), dimensions, blocks ? ggml_type(dtype) : kGgmlF32,
                  data.size());
    data += blocks ? random_blocks(dtype, tensor)
                   : bytes_of_values(tensor.rotary_heads > 0 ? interleaved(tensor) : tensor.values,
                                     DType::F32);
  }
  write_file(path, writer.file(0) + data);
}

const SmallTensor& tensor_named(const std::vector<SmallTensor>& tensors, std::string_view name) {
  for (const SmallTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  fail("no tensor {}", name);
}

}  // namespace initrt::testing
