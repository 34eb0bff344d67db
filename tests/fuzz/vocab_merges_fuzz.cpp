// What vocab.json, merges.txt and the files beside them hold, as the members of one object, and a
// text encoded with what they ask for.
#include "runtime/text/vocab_merges.h"

#include "sharding/checkpoint/checked_json.h"
#include "tests/fuzz/tokenizer.h"

using namespace initrt;

namespace {

nlohmann::json object_in(const nlohmann::json& files, const char* name) {
  nlohmann::json object = files.value(name, nlohmann::json::object());
  if (!object.is_object()) fail("{}: expected a JSON object", name);
  return object;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string text = fuzz::text_of(data, bytes);
  return fuzz::one_input("", [&] {
    const nlohmann::json files = parse_json(text, "files");
    if (!files.is_object()) fail("files: expected a JSON object");
    VocabAndMerges parts;
    parts.vocabulary = object_in(files, "vocab.json");
    parts.config = object_in(files, "tokenizer_config.json");
    parts.special = object_in(files, "special_tokens_map.json");
    parts.added = object_in(files, "added_tokens.json");
    const nlohmann::json merges = files.value("merges.txt", nlohmann::json(""));
    if (merges.is_string()) parts.merges = merges.get<std::string>();
    fuzz::expect_invariants(*make_tokenizer(tokenizer_json_from_vocab(parts).json));
  });
}
