// Vocabularies in other forms than a tokenizer.json: tiktoken's lines, tekken.json, vocab.txt. The
// first byte chooses.
#include "runtime/text/tekken.h"
#include "runtime/text/tiktoken.h"
#include "runtime/text/vocab_txt.h"
#include "sharding/checkpoint/checked_json.h"
#include "tests/fuzz/tokenizer.h"

using namespace initrt;

namespace {

// What follows on the first line of the text is a config in JSON.
VocabTokenizer made_of(char kind, const std::string& text) {
  if (kind == 'k') return tokenizer_json_from_tekken(parse_json(text, "tekken.json"));
  const std::size_t line = std::min(text.find('\n'), text.size());
  const nlohmann::json config = parse_json(text.substr(0, line), "tokenizer_config.json");
  const std::string rest = text.substr(std::min(line + 1, text.size()));
  if (kind == 't') return tokenizer_json_from_vocab_txt(rest, config);
  (void)is_tiktoken(rest);
  return tokenizer_json_from_tiktoken({kind == 'm' ? "tiktoken.model" : "", rest, config, ""});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  if (bytes == 0) return 0;
  const std::string text = fuzz::text_of(data + 1, bytes - 1);
  return fuzz::one_input("", [&] {
    const VocabTokenizer made = made_of(static_cast<char>(data[0]), text);
    fuzz::expect_invariants(*make_tokenizer(made.json));
  });
}
