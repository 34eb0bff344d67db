#include "sharding/checkpoint/no_model.h"

#include <algorithm>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_tensors.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool is_adapter(const Catalog& catalog) {
  const std::string name(name_of(catalog.files.front().path));
  const auto known =
      std::count_if(catalog.tensors.begin(), catalog.tensors.end(),
                    [](const TensorEntry& tensor) { return is_of_adapter(tensor.name); });
  // A few matrices may be whole ("modules_to_save").
  return known > 0 && (name.starts_with("adapter") ||
                       static_cast<std::size_t>(known) * 2 > catalog.tensors.size());
}

bool is_packed_by_mlx(const TensorEntry& tensor, const Catalog& catalog) {
  constexpr std::string_view kEnd = ".weight";
  if (tensor.dtype != kMlxWord || !tensor.name.ends_with(kEnd)) return false;
  return catalog.find(tensor.name.substr(0, tensor.name.size() - kEnd.size()) + ".scales") >= 0;
}

std::string describe_mlx(const Catalog& catalog) {
  const std::optional<std::int64_t> bits = mlx_bits(catalog.config);
  return fmt::format(
      "a model that mlx-lm quantized{}, which is not read: name the model that it was made of, or "
      "a GGUF file of it",
      bits ? fmt::format(" to {} bits", *bits) : "");
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
  return fmt::format("an adapter ({}) of the model {}, not a model: merge it into that model {}",
                     kind.empty() ? "LoRA" : printable(kind),
                     base.empty() ? "it was trained on" : quote(base), kHowToMerge);
}

std::string describe_no_model(Files& files, const Catalog& catalog) {
  if (catalog.files.empty()) return "";
  if (catalog.format == "gguf") return describe_gguf_kind(catalog.metadata);
  if (is_adapter(catalog)) {
    return describe_adapter(files, directory_of(catalog.files.front().path));
  }
  const auto holds = [&](bool (*is_of)(std::string_view)) {
    return std::any_of(catalog.tensors.begin(), catalog.tensors.end(),
                       [&](const TensorEntry& tensor) { return is_of(tensor.name); });
  };
  if (holds(is_of_adapted_module) && holds(is_of_lora)) {
    return fmt::format("a model with an adapter (LoRA) that is not merged: merge it {}",
                       kHowToMerge);
  }
  const bool packed =
      std::any_of(catalog.tensors.begin(), catalog.tensors.end(),
                  [&](const TensorEntry& tensor) { return is_packed_by_mlx(tensor, catalog); });
  return packed ? describe_mlx(catalog) : "";
}

}  // namespace initrt
