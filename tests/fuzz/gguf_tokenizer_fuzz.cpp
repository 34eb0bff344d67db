// The tokenizer in a GGUF file's metadata, and a text encoded with it.
#include "sharding/checkpoint/gguf_header.h"
#include "tests/fuzz/tokenizer.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string path = "m.gguf";
  testing::MemoryFiles files;
  files.content[path] = fuzz::text_of(data, bytes);
  nlohmann::json metadata;
  fuzz::one_input(path, [&] { metadata = read_gguf_header(files, path).metadata; });
  if (metadata.is_null()) return 0;
  return fuzz::one_input("", [&] {
    const nlohmann::json tokenizer = tokenizer_json_from_gguf(metadata);
    fuzz::expect_invariants(*make_tokenizer(tokenizer));
  });
}
