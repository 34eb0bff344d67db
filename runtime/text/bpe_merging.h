// The merging of byte-pair encoding, whatever says which pairs merge. With a queue: O(n log n) in
// the length of a word, so that a text without any place to cut (a megabyte of one letter) is no
// slower than others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <tuple>
#include <vector>

#include "runtime/text/tokenizer.h"

namespace initrt {

struct BpeMerge {
  std::uint32_t rank = 0;  ///< the lowest merges first; of equal ones the leftmost
  TokenId id = 0;          ///< what the pair becomes
};

struct BpeSymbol {
  TokenId id = 0;                         ///< -1 once merged into the symbol on its left
  std::int32_t previous = -1, next = -1;  ///< indices; -1 at the ends
  std::uint32_t begin = 0, end = 0;       ///< bytes of the word
};

/// Merges neighbours until no pair merges, and appends the ids that are left.
/// @param merge_of(left, right), two symbols, gives std::optional<BpeMerge>
template <class MergeOf>
void merge_symbols(std::vector<BpeSymbol>& symbols, const MergeOf& merge_of,
                   std::vector<TokenId>& ids) {
  struct Candidate {
    std::uint32_t rank;
    std::int32_t left;
    TokenId id;  ///< what the pair becomes; tells whether the pair is still there
    bool operator>(const Candidate& other) const {
      return std::tie(rank, left) > std::tie(other.rank, other.left);
    }
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](std::int32_t left) {
    if (left < 0 || symbols[left].next < 0) return;
    const std::optional<BpeMerge> merge = merge_of(symbols[left], symbols[symbols[left].next]);
    if (merge) queue.push({merge->rank, left, merge->id});
  };
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(symbols.size()); ++i) consider(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    BpeSymbol& left = symbols[best.left];
    if (left.id < 0 || left.next < 0) continue;
    BpeSymbol& right = symbols[left.next];
    const std::optional<BpeMerge> merge = merge_of(left, right);
    if (!merge || merge->id != best.id) continue;
    left.id = best.id;
    left.end = right.end;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[left.next].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (const BpeSymbol& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
}

}  // namespace initrt
