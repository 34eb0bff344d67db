// A model_config.yaml of Lit-GPT, in Hugging Face's keys.
#include "sharding/checkpoint/config/lit_config.h"
#include "sharding/checkpoint/config/yaml.h"
#include "tests/fuzz/fuzz.h"

using namespace initrt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string path = "model_config.yaml";
  const std::string text = fuzz::text_of(data, bytes);
  nlohmann::json fields;
  fuzz::one_input(path, [&] { fields = parse_yaml(text, path); });
  (void)fields.dump();  // throws something else than an Error where a text in it is not UTF-8
  if (!fields.is_object()) return 0;
  return fuzz::one_input("", [&] {
    if (!config_from_lit_gpt(fields).is_object()) fuzz::finding("a config that is no object");
  });
}
