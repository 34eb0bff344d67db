// A SentencePiece model, and a text encoded with it.
#include "runtime/text/sentencepiece.h"

#include "tests/fuzz/tokenizer.h"

using namespace initrt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string model = fuzz::text_of(data, bytes);
  return fuzz::one_input("",
                         [&] { fuzz::expect_invariants(*make_sentencepiece_tokenizer(model)); });
}
