#include "sharding/checkpoint/names/canonical_name.h"

#include <algorithm>

namespace initrt {
namespace {

constexpr std::string_view kExperts = "mlp.experts.";

}  // namespace

BlockName parse_block_name(std::string_view canonical) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!canonical.starts_with(kPrefix)) return {};
  const std::string_view rest = canonical.substr(kPrefix.size());  // "7.mlp.up_proj.weight"
  const std::size_t dot = rest.find('.'), last = rest.rfind('.');
  if (dot == std::string_view::npos) return {};
  // "7.layer_scalar" is of no module.
  const std::string_view module = last == dot ? "" : rest.substr(dot + 1, last - dot - 1);
  BlockName name{rest.substr(0, dot), std::string(module), "", rest.substr(last + 1)};
  if (module.starts_with(kExperts)) {
    const std::string_view expert = module.substr(kExperts.size());  // "2.up_proj"
    const std::size_t end = std::min(expert.find('.'), expert.size());
    name.expert = expert.substr(0, end);
    name.module = std::string(kExperts).append("*").append(expert.substr(end));
  }
  return name;
}

std::string_view find_pair(std::span<const NamePair> table, std::string_view key) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const NamePair& pair) { return pair.first == key; });
  return found == table.end() ? std::string_view() : found->second;
}

std::string translate(const NameTable& table, std::string_view canonical) {
  const BlockName name = parse_block_name(canonical);
  if (name.layer.empty()) return std::string(find_pair(table.global, canonical));
  std::string kind = std::string(".").append(name.kind);
  std::string module(find_pair(table.in_block, name.module + kind));
  if (module.empty()) {
    module = find_pair(table.in_block, name.module);
  } else {
    kind = "";
  }
  if (module.empty()) return "";
  const std::size_t star = module.find('*');
  if (star != std::string::npos && !name.expert.empty()) module.replace(star, 1, name.expert);
  std::string text(table.block_prefix);
  text.append(name.layer).append(".").append(module).append(kind);
  return text;
}

std::string numbered(std::string name, std::uint64_t number) {
  return name.replace(name.find('*'), 1, std::to_string(number));
}

}  // namespace initrt
