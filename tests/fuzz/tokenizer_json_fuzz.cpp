// A tokenizer.json, and a text encoded with what it asks for.
#include "sharding/checkpoint/checked_json.h"
#include "tests/fuzz/tokenizer.h"

using namespace initrt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string text = fuzz::text_of(data, bytes);
  return fuzz::one_input("tokenizer.json", [&] {
    fuzz::expect_invariants(*make_tokenizer(parse_json(text, "tokenizer.json")));
  });
}
