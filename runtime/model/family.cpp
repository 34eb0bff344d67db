#include "runtime/model/family.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

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
    // FSDP2 makes a class of its own of each that it shards.
    constexpr std::string_view kSharded = "FSDP";
    if (architecture.starts_with(kSharded)) architecture.erase(0, kSharded.size());
    if (architecture == "LLaMAForCausalLM") architecture = "LlamaForCausalLM";  // of first configs
  }

  // Some models of another class say model_type "llama": the class decides where it is given.
  [[nodiscard]] bool is_of(const Family& family) const {
    if (architecture.empty() || is_wrapper()) return model_type == family.model_type;
    return architecture == family.architecture || is_base_of(family);
  }

  // Classes that wrap a model, which is then said by its model_type alone.
  [[nodiscard]] bool is_wrapper() const {
    constexpr std::string_view kWrappers[] = {"DistributedDataParallel", "FullyShardedDataParallel",
                                              "OptimizedModule", "PeftModelForCausalLM"};
    return std::find(std::begin(kWrappers), std::end(kWrappers), architecture) !=
           std::end(kWrappers);
  }

  // The class of the same model without its head, as of LlamaForCausalLM it is LlamaModel.
  [[nodiscard]] bool is_base_of(const Family& family) const {
    std::string_view base = family.architecture;
    for (const std::string_view head : {"ForCausalLM", "LMHeadModel"}) {
      if (base.ends_with(head)) base.remove_suffix(head.size());
    }
    if (!architecture.starts_with(base)) return false;
    const std::string_view rest = std::string_view(architecture).substr(base.size());
    return rest == "Model" || rest == "TextModel";
  }
};

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
  const Claim claim(config);
  std::string known;
  std::string_view last;  // some classes have several model types
  for (const Family& family : kFamilies) {
    if (claim.is_of(family)) return family.build(config);
    if (family.architecture == std::exchange(last, family.architecture)) continue;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.architecture);
  }
  const auto* const by_type =
      std::find_if(std::begin(kFamilies), std::end(kFamilies),
                   [&](const Family& family) { return claim.model_type == family.model_type; });
  if (by_type != std::end(kFamilies)) {
    fail(
        "unknown architecture {}, though model_type {} is that of {}: if it is one, say so in the "
        "config's \"architectures\"",
        quote(claim.architecture), quote(claim.model_type), by_type->architecture);
  }
  fail("unknown architecture {} (model_type {}); known are: {}", quote(claim.architecture),
       quote(claim.model_type), known);
}

}  // namespace initrt
