#include "runtime/model/family.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/model/families/families.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// What a config says it is of: its class, and its model_type.
struct Claim {
  std::string model_type, architecture;

  explicit Claim(const nlohmann::json& config) {
    const auto type = config.find("model_type");
    if (type != config.end() && type->is_string()) model_type = *type;
    const auto classes = config.find("architectures");
    if (classes != config.end() && classes->is_array() && !classes->empty() &&
        classes->front().is_string()) {
      architecture = classes->front();
    }
  }

  // Some models of another class say model_type "llama": the class decides where it is given.
  [[nodiscard]] bool is_of(const Family& family) const {
    return architecture.empty() ? model_type == family.model_type
                                : architecture == family.architecture;
  }
};

// Weights whose scales are tensors of their own, or packed: read as they are, they would be
// nonsense.
void refuse_quantized(const nlohmann::json& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) continue;
    const auto method = found->is_object() ? found->find("quant_method") : found->end();
    const bool named = found->is_object() && method != found->end() && method->is_string();
    fail("model config: the checkpoint is quantized ({}: {}), which is not read yet", key,
         named ? quote(method->get<std::string>()) : "of no quant_method");
  }
}

}  // namespace

std::span<const Family> families() { return kFamilies; }

bool knows_family(const nlohmann::json& config) {
  if (!config.is_object()) return false;
  const Claim claim(config);
  return std::any_of(std::begin(kFamilies), std::end(kFamilies),
                     [&](const Family& family) { return claim.is_of(family); });
}

Graph build_graph(const nlohmann::json& config) {
  if (!config.is_object()) fail("the model config is not a JSON object");
  refuse_quantized(config);
  const Claim claim(config);
  std::string known;
  for (const Family& family : kFamilies) {
    if (claim.is_of(family)) return family.build(config);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.architecture);
  }
  fail("unknown architecture {} (model_type {}); known are: {}", quote(claim.architecture),
       quote(claim.model_type), known);
}

}  // namespace initrt
