#include "sharding/checkpoint/names/canonical_name.h"

#include <algorithm>

namespace initrt {
namespace {

constexpr std::string_view kExperts = "mlp.experts.";
// The modules of an expert, as experts_block.cpp makes them. Literals: a BlockName owns nothing.
constexpr std::string_view kOfExperts[] = {"mlp.experts.*.gate_proj", "mlp.experts.*.up_proj",
                                           "mlp.experts.*.down_proj"};

// Of "2.up_proj" the expert, and its module of kOfExperts; nothing where it is none of these.
struct ExpertModule {
  std::string_view expert, module;
};
ExpertModule expert_module(std::string_view rest) {
  const std::size_t dot = rest.find('.');
  if (dot == std::string_view::npos) return {};
  for (const std::string_view module : kOfExperts) {
    if (module.substr(kExperts.size() + 1) == rest.substr(dot))
      return {rest.substr(0, dot), module};
  }
  return {};
}

// Whether a table's key is "module.kind".
bool is_tensor_of(std::string_view key, const BlockName& name) {
  return key.size() == name.module.size() + 1 + name.kind.size() && key.starts_with(name.module) &&
         key[name.module.size()] == '.' && key.ends_with(name.kind);
}

}  // namespace

BlockName parse_block_name(std::string_view canonical) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!canonical.starts_with(kPrefix)) return {};
  const std::string_view rest = canonical.substr(kPrefix.size());  // "7.mlp.up_proj.weight"
  const std::size_t dot = rest.find('.'), last = rest.rfind('.');
  if (dot == std::string_view::npos) return {};
  // "7.layer_scalar" is of no module.
  const std::string_view module = last == dot ? "" : rest.substr(dot + 1, last - dot - 1);
  BlockName name{rest.substr(0, dot), module, "", rest.substr(last + 1)};
  if (module.starts_with(kExperts)) {
    const ExpertModule of = expert_module(module.substr(kExperts.size()));
    if (!of.expert.empty()) {
      name.expert = of.expert;
      name.module = of.module;
    }
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
  const auto whole =
      std::find_if(table.in_block.begin(), table.in_block.end(),
                   [&](const NamePair& pair) { return is_tensor_of(pair.first, name); });
  const bool is_whole = whole != table.in_block.end() && !whole->second.empty();
  const std::string_view module = is_whole ? whole->second : find_pair(table.in_block, name.module);
  if (module.empty()) return "";
  std::string text(table.block_prefix);
  text.append(name.layer).append(".");
  const std::size_t star = name.expert.empty() ? std::string_view::npos : module.find('*');
  text.append(module.substr(0, star));
  if (star != std::string_view::npos) text.append(name.expert).append(module.substr(star + 1));
  if (!is_whole) text.append(".").append(name.kind);
  return text;
}

std::string numbered(std::string name, std::uint64_t number) {
  return name.replace(name.find('*'), 1, std::to_string(number));
}

}  // namespace initrt
