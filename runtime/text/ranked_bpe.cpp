#include "runtime/text/ranked_bpe.h"

#include <limits>

#include "runtime/text/bpe_merging.h"
#include "runtime/text/byte_level.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {

RankedBpe::RankedBpe(const JsonNode& model) {
  const JsonNode vocabulary = model.at("vocab");
  read_vocabulary(vocabulary);
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (!id_of(to_byte_level({&c, 1}))) {
      fail("{}: no token is the byte 0x{:02X} alone", vocabulary.path(), byte);
    }
  }
}

void RankedBpe::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (const std::optional<TokenId> id = id_of(word)) return ids.push_back(*id);
  if (word.size() > std::numeric_limits<std::int32_t>::max()) {
    fail("a word of {} bytes is too long to tokenize", word.size());
  }
  std::vector<BpeSymbol> symbols;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t end = at + utf8_step(word.substr(at)).bytes;
    const auto index = static_cast<std::int32_t>(symbols.size());
    // What is not of the byte-level alphabet has no token, and is left out.
    if (const std::optional<TokenId> id = id_of(word.substr(at, end - at))) {
      if (index > 0) symbols.back().next = index;
      symbols.push_back(
          {*id, index - 1, -1, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end)});
    }
    at = end;
  }
  const auto merge = [&](const BpeSymbol& left, const BpeSymbol& right) -> std::optional<BpeMerge> {
    const std::optional<TokenId> id = id_of(word.substr(left.begin, right.end - left.begin));
    if (!id) return std::nullopt;
    return BpeMerge{static_cast<std::uint32_t>(*id), *id};
  };
  merge_symbols(symbols, merge, ids);
}

}  // namespace initrt
