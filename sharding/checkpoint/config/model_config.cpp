#include "sharding/checkpoint/config/model_config.h"

#include <algorithm>
#include <array>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/lit_config.h"
#include "sharding/checkpoint/config/meta_config.h"
#include "sharding/checkpoint/config/yaml.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxYamlBytes = 1u << 20;

Json read_yaml_object(Files& files, const std::string& path) {
  Json value = parse_yaml(files.read_text(path, kMaxYamlBytes), path);
  if (!value.is_object()) fail("{}: expected a YAML mapping, found {}", path, value.type_name());
  return value;
}

Json from_hugging_face(const Json& config, const Catalog&) { return text_model_config(config); }
Json from_lit_gpt(const Json& fields, const Catalog&) { return config_from_lit_gpt(fields); }

// A file that may be there, how it is read, and what it says in Hugging Face's keys.
struct ConfigFile {
  std::string_view name;
  Json (*read)(Files&, const std::string&);
  Json (*translate)(const Json&, const Catalog&);
};

Json read_json(Files& files, const std::string& path) { return read_json_object(files, path); }

constexpr std::array kConfigFiles = {
    ConfigFile{"config.json", read_json, from_hugging_face},
    ConfigFile{"params.json", read_json, config_from_meta},
    ConfigFile{"lit_config.json", read_json, from_lit_gpt},
    ConfigFile{"model_config.yaml", read_yaml_object, from_lit_gpt},
};

Json read_first(Files& files, const std::string& directory, const Catalog& catalog) {
  std::vector<ConfigFile> order(kConfigFiles.begin(), kConfigFiles.end());
  // Lit's tensors may be padded, which only its own config says; the others' is kept beside it.
  if (catalog.format == "lit") std::rotate(order.begin(), order.begin() + 2, order.end());
  for (const ConfigFile& file : order) {
    const std::string path = join_path(directory, file.name);
    if (!is_file(files, path)) continue;
    const Json content = file.read(files, path);
    try {
      Json config = file.translate(content, catalog);
      if (!config.is_null()) return config;
    } catch (const Error& error) {
      fail("{}: {}", path, error.what());
    }
  }
  return config_from_lit_llama(catalog);
}

// A file in which a program tells how the checkpoint is quantized.
struct QuantizationFile {
  const char* name;
  const char* key;     // of the object in it that says so; null: all of it
  const char* method;  // whose file it is, where it does not say
};
constexpr std::array kQuantizationFiles = {
    QuantizationFile{"hf_quant_config.json", "quantization", "modelopt"},  // ModelOpt
    QuantizationFile{"quantize_config.json", nullptr, "gptq"},             // AutoGPTQ
    QuantizationFile{"quant_config.json", nullptr, "awq"},                 // AutoAWQ
};

// What programs wrote before the model config held it.
void read_quantization(Files& files, const std::string& directory, Json& config) {
  constexpr const char* kKey = "quantization_config";
  for (const QuantizationFile& file : kQuantizationFiles) {
    const std::string path = join_path(directory, file.name);
    if (config.contains(kKey) || !is_file(files, path)) continue;
    Json said = read_json_object(files, path);
    if (file.key != nullptr) said = said.value(file.key, Json::object());
    if (!said.is_object()) fail("{}: {} is not a JSON object", path, file.key);
    said.emplace("quant_method", file.method);
    config[kKey] = std::move(said);
  }
}

// A model_type whose text is causal, as in a model of text alone: what others make of it may
// differ.
struct Causal {
  std::string_view type;
  std::string_view text_type = "";  ///< of its text, where the config does not say
};
constexpr std::array kCausal = {
    Causal{"gemma3"},
    Causal{"gemma4", "gemma4_text"},
    Causal{"kimi_k25", "deepseek_v3"},
    Causal{"llama4", "llama4_text"},
    Causal{"llava", "llama"},
    Causal{"llava_next", "llama"},
    Causal{"mistral3", "mistral"},
    Causal{"qwen3_5"},
    Causal{"qwen3_5_moe"},
};

// What text configs leave out because it is their class's default (transformers,
// configuration_llama.py, configuration_mistral.py): LLaVA's and Pixtral's hold what differs.
void add_class_defaults(Json& text) {
  const Json type = text["model_type"];
  Json all = Json::object();
  if (type == "llama") {
    all = {{"vocab_size", 32000},
           {"hidden_size", 4096},
           {"intermediate_size", 11008},
           {"num_hidden_layers", 32},
           {"num_attention_heads", 32},
           {"rms_norm_eps", 1e-6},
           {"max_position_embeddings", 2048}};
  } else if (type == "mistral") {
    all = {{"vocab_size", 32000},
           {"hidden_size", 4096},
           {"intermediate_size", 14336},
           {"num_hidden_layers", 32},
           {"num_attention_heads", 32},
           {"num_key_value_heads", 8},
           {"rms_norm_eps", 1e-6},
           {"sliding_window", 4096},
           {"max_position_embeddings", 131072}};
  }
  for (const auto& [key, value] : all.items()) text.emplace(key, value);
}

}  // namespace

Json text_model_config(Json config) {
  const auto text = config.find("text_config");
  const auto type = config.find("model_type");
  if (text == config.end() || !text->is_object() || type == config.end()) return config;
  const auto* const known = std::find_if(kCausal.begin(), kCausal.end(), [&](const Causal& causal) {
    return type->is_string() && type->get_ref<const std::string&>() == causal.type;
  });
  if (known == kCausal.end()) return config;
  Json found = *text;
  if (!found.contains("model_type")) {
    if (known->text_type.empty()) return config;
    found["model_type"] = known->text_type;
  }
  for (const char* key :
       {"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "torch_dtype",
        "dtype", "quantization_config", "compression_config", "quantization"}) {
    if (config.contains(key) && !found.contains(key)) found[key] = config[key];
  }
  add_class_defaults(found);
  return found;
}

Json read_model_config(Files& files, const std::string& directory, const Catalog& catalog) {
  Json config = read_first(files, directory, catalog);
  if (config.is_object()) read_quantization(files, directory, config);
  const std::string generation = join_path(directory, "generation_config.json");
  if (config.is_object() && is_file(files, generation)) {
    config["generation_config"] = read_json_object(files, generation);
  }
  return config;
}

}  // namespace initrt
