#include "runtime/model/family.h"

#include <array>
#include <string>

#include "runtime/model/llama.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// A new family is a file of its own and a line here.
constexpr std::array kFamilies = {
    Family{"llama", "LlamaForCausalLM", build_llama},
};

}  // namespace

std::span<const Family> families() { return kFamilies; }

Graph build_graph(const nlohmann::json& config) {
  if (!config.is_object()) fail("the model config is not a JSON object");
  const std::string model_type =
      config.contains("model_type") && config["model_type"].is_string() ? config["model_type"] : "";
  std::string architecture;
  const auto architectures = config.find("architectures");
  if (architectures != config.end() && architectures->is_array() && !architectures->empty() &&
      architectures->front().is_string()) {
    architecture = architectures->front();
  }
  std::string known;
  for (const Family& family : kFamilies) {
    // Some models of another class say model_type "llama": the class decides where it is given.
    const bool claims = architecture.empty() ? model_type == family.model_type
                                             : architecture == family.architecture;
    if (claims) return family.build(config);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.architecture);
  }
  fail("unknown architecture {} (model_type {}); known are: {}", quote(architecture),
       quote(model_type), known);
}

}  // namespace initrt
