#include "sharding/checkpoint/no_model.h"

#include <algorithm>
#include <array>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// What adapters of PEFT and mlx-lm add to a model's names.
bool is_of_adapter(const TensorEntry& tensor) {
  constexpr std::array<std::string_view, 8> kParts = {
      ".lora_A",        ".lora_B",        ".lora_a",           ".lora_b",
      "lora_embedding", "lora_magnitude", "prompt_embeddings", "ia3_l"};
  return std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) {
    return tensor.name.find(part) != std::string::npos;
  });
}

bool is_adapter(const Catalog& catalog) {
  const std::string name(name_of(catalog.files.front().path));
  const auto known = std::count_if(catalog.tensors.begin(), catalog.tensors.end(), is_of_adapter);
  // A few matrices may be whole ("modules_to_save").
  return known > 0 && (name.starts_with("adapter") ||
                       static_cast<std::size_t>(known) * 2 > catalog.tensors.size());
}

// mlx-lm packs a matrix's codes into words: X.weight of U32, X.scales, X.biases.
bool is_packed_by_mlx(const TensorEntry& tensor, const Catalog& catalog) {
  constexpr std::string_view kEnd = ".weight";
  if (tensor.dtype != DType::U32 || !tensor.name.ends_with(kEnd)) return false;
  const std::string stem = tensor.name.substr(0, tensor.name.size() - kEnd.size());
  return catalog.find(stem + ".scales") >= 0 && catalog.find(stem + ".biases") >= 0;
}

std::string describe_mlx(const Catalog& catalog) {
  std::string bits;
  if (catalog.config.is_object() && catalog.config.contains("quantization")) {
    const Json& said = catalog.config["quantization"];
    const auto found = said.is_object() ? said.find("bits") : said.end();
    if (found != said.end() && found->is_number_unsigned()) {
      bits = fmt::format(" to {} bits", found->get<std::uint64_t>());
    }
  }
  return fmt::format(
      "a model that mlx-lm quantized{}, which is not read: name the model that it was made of, or "
      "a GGUF file of it",
      bits);
}

}  // namespace

std::string describe_gguf_kind(const Json& metadata) {
  const std::string kind = text_of(metadata, "general.type");
  const std::string architecture = text_of(metadata, "general.architecture");
  if (kind == "mmproj" || kind == "clip-vision" || architecture == "clip") {
    return "a vision projector (mmproj), not a model: name the GGUF file of the model of text that "
           "it belongs to";
  }
  if (kind == "adapter") {
    return "an adapter (LoRA), not a model: merge it into its base model (llama-export-lora), and "
           "name the result";
  }
  if (kind == "imatrix") return "an importance matrix of a quantization, not a model";
  return "";
}

std::string describe_adapter(Files& files, const std::string& directory) {
  std::string base, kind;
  try {
    const Json config = read_json_object(files, join_path(directory, kAdapterConfig));
    base = text_of(config, "base_model_name_or_path");
    if (base.empty()) base = text_of(config, "model");  // mlx-lm's
    kind = text_of(config, "peft_type");
    if (kind.empty()) kind = text_of(config, "fine_tune_type");
  } catch (const Error&) {
    // The adapter itself says enough.
  }
  return fmt::format(
      "an adapter ({}) of the model {}, not a model: merge it into that model (in PEFT: "
      "merge_and_unload(), then save_pretrained()) and name the directory of the result",
      kind.empty() ? "LoRA" : printable(kind), base.empty() ? "it was trained on" : quote(base));
}

std::string describe_no_model(Files& files, const Catalog& catalog) {
  if (catalog.files.empty()) return "";
  if (catalog.format == "gguf") return describe_gguf_kind(catalog.metadata);
  if (is_adapter(catalog)) {
    return describe_adapter(files, directory_of(catalog.files.front().path));
  }
  const auto holds = [&](std::string_view part) {
    return std::any_of(
        catalog.tensors.begin(), catalog.tensors.end(),
        [&](const TensorEntry& tensor) { return tensor.name.find(part) != std::string::npos; });
  };
  if (holds(".base_layer.") && holds(".lora_A.")) {
    return "a model with an adapter (LoRA) that is not merged: merge it (in PEFT: "
           "merge_and_unload(), then save_pretrained()) and name the directory of the result";
  }
  const bool packed =
      std::any_of(catalog.tensors.begin(), catalog.tensors.end(),
                  [&](const TensorEntry& tensor) { return is_packed_by_mlx(tensor, catalog); });
  return packed ? describe_mlx(catalog) : "";
}

}  // namespace initrt
