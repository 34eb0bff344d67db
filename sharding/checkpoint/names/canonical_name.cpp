#include "sharding/checkpoint/names/canonical_name.h"

#include <algorithm>

namespace initrt {

BlockName parse_block_name(std::string_view canonical) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!canonical.starts_with(kPrefix)) return {};
  const std::string_view rest = canonical.substr(kPrefix.size());  // "7.mlp.up_proj.weight"
  const std::size_t dot = rest.find('.'), last = rest.rfind('.');
  if (dot == std::string_view::npos || last <= dot) return {};
  return {rest.substr(0, dot), rest.substr(dot + 1, last - dot - 1), rest.substr(last + 1)};
}

std::string_view find_pair(std::span<const NamePair> table, std::string_view key) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const NamePair& pair) { return pair.first == key; });
  return found == table.end() ? std::string_view() : found->second;
}

std::string translate(const NameTable& table, std::string_view canonical) {
  const BlockName name = parse_block_name(canonical);
  if (name.layer.empty()) return std::string(find_pair(table.global, canonical));
  const std::string_view module = find_pair(table.in_block, name.module);
  if (module.empty()) return "";
  std::string text(table.block_prefix);
  text.append(name.layer).append(".").append(module).append(".").append(name.kind);
  return text;
}

}  // namespace initrt
