#include "runtime/start/end_tokens.h"

#include <limits>
#include <set>
#include <string_view>

#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr auto kMaxId = static_cast<std::uint64_t>(std::numeric_limits<TokenId>::max());

// Of a key that may be absent, null, an id or a list of ids. Negative ids say "none".
void add_ids(const Json& object, std::string_view key, std::string_view where,
             std::set<TokenId>& ids) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return;
  for (const Json& id : found->is_array() ? *found : Json::array({*found})) {
    if (!id.is_number_integer() || (id.is_number_unsigned() && id.get<std::uint64_t>() > kMaxId)) {
      fail("{}{} is neither a token id nor a list of them", where, key);
    }
    if (id >= 0) ids.insert(id.get<TokenId>());
  }
}

}  // namespace

std::vector<TokenId> end_tokens_of_model(const Json& config, const Catalog& catalog) {
  std::set<TokenId> ids;
  const auto generation = config.find("generation_config");
  if (generation != config.end() && generation->is_object()) {
    add_ids(*generation, "eos_token_id", "generation_config.json: ", ids);
  }
  if (ids.empty()) add_ids(config, "eos_token_id", "model config: ", ids);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    add_ids(catalog.metadata, key, "", ids);
  }
  return {ids.begin(), ids.end()};
}

}  // namespace initrt
